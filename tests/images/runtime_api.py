"""Lambda's runtime API on a local port: hands out the events that a test gives, collects what the runtime posts back."""

import json
import queue
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PREFIX = "/2018-06-01/runtime"


@dataclass(frozen=True, kw_only=True)
class Posted:
    """What the runtime said: `response` or `error` to an invocation, or an `init-error`."""

    kind: str
    request_id: str | None
    body: Any


class RuntimeApi:
    """The server side, as a context manager."""

    def __init__(self) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self.posted: queue.Queue[Posted] = queue.Queue()
        api = self

        class Handler(_Handler):
            runtime = api

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.closing = threading.Event()
        self._count = 0

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "RuntimeApi":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def invoke(self, event: Any, timeout: float) -> Posted:
        """Hand out one event and wait for what comes back; raises queue.Empty after `timeout` seconds."""
        self.events.put(event)
        return self.posted.get(timeout=timeout)

    def next_id(self) -> str:
        self._count += 1
        return f"request-{self._count}"


class _Handler(BaseHTTPRequestHandler):
    runtime: RuntimeApi
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        while not self.runtime.closing.is_set():
            try:
                event = self.runtime.events.get(timeout=0.2)
            except queue.Empty:
                continue
            self._answer(200, json.dumps(event).encode(), self._invocation_headers())
            return
        self.close_connection = True

    def do_POST(self) -> None:
        parts = self.path.removeprefix(_PREFIX).strip("/").split("/")
        body = json.loads(self._body() or b"null")
        if parts[0] == "invocation":
            self.runtime.posted.put(Posted(kind=parts[2], request_id=parts[1], body=body))
        else:
            self.runtime.posted.put(Posted(kind="init-error", request_id=None, body=body))
        self._answer(202, b"", {})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _invocation_headers(self) -> dict[str, str]:
        return {
            "Lambda-Runtime-Aws-Request-Id": self.runtime.next_id(),
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 60) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:model:live",
            "Content-Type": "application/json",
        }

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
