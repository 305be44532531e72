"""A model server of the standard library that does what a test's request asks for."""

import http.client
import json
import os
import pathlib
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
HOARD = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(500 if os.environ.get("SICK") else 200, b"")

    def do_POST(self):
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        time.sleep(wanted.get("sleep", 0))
        if wanted.get("exit"):
            os._exit(3)
        if wanted.get("allocate_mb"):
            HOARD.append(b"x" * (wanted["allocate_mb"] * 1024 * 1024))
            time.sleep(2)
        if "bytes" in wanted:
            self.answer(200, b"x" * wanted["bytes"])
            return
        model = pathlib.Path(os.environ["MODEL_DIR"], "weights.txt")
        seen = {
            "pid": os.getpid(),
            "uid": os.getuid(),
            "argv": sys.argv[1:],
            "env": dict(os.environ),
            "cwd": os.getcwd(),
            "model": model.read_text() if model.exists() else None,
            "home": os.path.exists(wanted.get("look_for", "/nowhere")),
            "type": self.headers["Content-Type"],
        }
        self.answer(wanted.get("status", 200), json.dumps(seen).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        if ATTRIBUTES in self.headers:
            self.send_header(ATTRIBUTES, self.headers[ATTRIBUTES] + "-seen")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def serve_lambda(address):
    """The smallest Lambda runtime: one event after the other, echoed with what the process sees."""
    connection = http.client.HTTPConnection(address)
    while True:
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        response = connection.getresponse()
        event, request_id = json.loads(response.read()), response.headers["Lambda-Runtime-Aws-Request-Id"]
        answer = {"event": event, "env": dict(os.environ), "uid": os.getuid(), "argv": sys.argv[1:], "cwd": os.getcwd()}
        connection.request("POST", f"/2018-06-01/runtime/invocation/{request_id}/response", json.dumps(answer).encode())
        connection.getresponse().read()


if os.environ.get("BROKEN"):
    sys.exit("no model here")
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    serve_lambda(os.environ["AWS_LAMBDA_RUNTIME_API"])
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("serving", flush=True)
server.serve_forever()
