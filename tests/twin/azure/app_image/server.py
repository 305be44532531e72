"""A container app of the standard library that does what a test's request asks for; with the argument `job`, a job."""

import contextlib
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STATE = {"alive": True, "ready": True}
READY_AT = time.monotonic() + float(os.environ.get("READY_AFTER_S", "0"))
RESTING, STOPPING = set(), threading.Event()


class Server(ThreadingHTTPServer):
    daemon_threads = False  # what is under way at SIGTERM is answered


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def handle_one_request(self):
        RESTING.add(self.connection)
        if STOPPING.is_set():
            self.close_connection = True
        else:
            super().handle_one_request()

    def parse_request(self):
        RESTING.discard(self.connection)
        return super().parse_request()

    def do_GET(self):
        kind = self.path.rpartition("/")[2]
        well = STATE.get(kind, True) and not os.environ.get("SICK") and not (kind == "ready" and time.monotonic() < READY_AT)
        self.answer(200 if well else 500, b"healthy")

    def do_POST(self):
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        STATE.update(wanted.get("state", {}))
        time.sleep(wanted.get("sleep", 0))
        if wanted.get("exit"):
            os._exit(3)
        seen = {
            "pid": os.getpid(),
            "now": time.time(),
            "argv": sys.argv[1:],
            "env": dict(os.environ),
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        if "call" in wanted:
            seen["called"] = call(wanted["call"], wanted.get("headers", {}))
        if "token" in wanted:
            seen["token"] = token(wanted["token"])
        self.answer(wanted.get("status", 200), json.dumps(seen).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


def call(url, headers):
    """The status of a call to another app, and where it sends its caller."""
    trusting = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    try:
        asked = urllib.request.Request(url, data=b"{}", headers=headers)
        return [urllib.request.build_opener(trusting, Stay()).open(asked).status, None]
    except urllib.error.HTTPError as error:
        return [error.code, error.headers.get("location")]


def token(resource):
    """An access token of this app's identity."""
    query = f"?api-version=2019-08-01&resource={resource}&client_id={os.environ['AZURE_CLIENT_ID']}"
    asked = urllib.request.Request(os.environ["IDENTITY_ENDPOINT"] + query, headers={"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]})
    return json.load(urllib.request.urlopen(asked))["access_token"]


def job():
    """Once for every line of the file that counts tries, where there is one."""
    print(json.dumps({"env": dict(os.environ)}), flush=True)
    time.sleep(float(os.environ.get("WORK_S", "0")))
    if "CALL" in os.environ:
        print(f"called {call(os.environ['CALL'], {})[0]}", flush=True)
    print(f"at {time.time()}", flush=True)
    sys.exit(int(os.environ.get("STATUS", "0")))


def stop():
    """Answer what is under way, and wait for nobody else."""
    server.shutdown()
    STOPPING.set()
    for connection in list(RESTING):
        with contextlib.suppress(OSError):  # closed by the other end
            connection.shutdown(socket.SHUT_RD)


if sys.argv[1:] == ["job"]:
    job()
if os.environ.get("BROKEN"):
    sys.exit("no model here")
time.sleep(float(os.environ.get("START_S", "0")))
server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop).start())
print("serving", flush=True)
server.serve_forever()
server.server_close()
