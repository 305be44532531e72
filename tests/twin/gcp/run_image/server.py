"""A service of the standard library that does what a test's request asks for."""

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

METADATA = "/computeMetadata/v1/instance/service-accounts/default/identity?audience="
LOCK = threading.Lock()
NOW = MOST = 0
UNREADY_UNTIL = 0.0
SEEN = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/seen":
            self.answer(200, json.dumps(SEEN).encode())
            return
        unready = self.path == "/health/ready" and time.monotonic() < UNREADY_UNTIL
        self.answer(500 if os.environ.get("SICK") or unready else 200, b"healthy")

    def do_POST(self):
        global NOW, MOST, UNREADY_UNTIL
        body = self.rfile.read(int(self.headers["Content-Length"]))
        SEEN.append({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}, "body": body.decode()})
        if len(SEEN) <= int(os.environ.get("FAILS", "0")):
            self.answer(503, b"not yet")
            return
        wanted = json.loads(body or b"{}")
        with LOCK:
            NOW += 1
            MOST = max(MOST, NOW)
        for line in wanted.get("say", []):
            print(line, flush=True)
        time.sleep(wanted.get("sleep", 0))
        UNREADY_UNTIL = max(UNREADY_UNTIL, time.monotonic() + wanted.get("unready_s", 0))
        if wanted.get("exit"):
            os._exit(3)
        seen = {
            "pid": os.getpid(),
            "uid": os.getuid(),
            "argv": sys.argv[1:],
            "env": dict(os.environ),
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "most": MOST,
        }
        if "call" in wanted:
            seen["called"] = call(wanted["call"])
        with LOCK:
            NOW -= 1
        self.answer(wanted.get("status", 200), json.dumps(seen).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def call(url):
    """The status of a call to another service under this one's own identity."""
    asked = urllib.request.Request(f"http://{os.environ['GCE_METADATA_HOST']}{METADATA}{url}", headers={"Metadata-Flavor": "Google"})
    token = urllib.request.urlopen(asked).read().decode()
    try:
        asked = urllib.request.Request(url + "/", data=b"{}", headers={"Authorization": f"Bearer {token}"})
        return urllib.request.urlopen(asked).status
    except urllib.error.HTTPError as error:
        return error.code


if os.environ.get("BROKEN"):
    sys.exit("no model here")
time.sleep(float(os.environ.get("START_S", "0")))
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("serving", flush=True)
server.serve_forever()
