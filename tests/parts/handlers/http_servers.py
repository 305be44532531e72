"""HTTP servers on this machine for what handlers call, and a front that breaks what goes through it."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = {"connection", "content-length", "transfer-encoding", "host"}


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body leave in one packet: two of them wait for each other's acknowledgement, 40 ms an answer.
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        """Tests read requests, not lines."""

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """`host:port` of a server on a thread of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        # The handshake is the business of the connection's own thread.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that breaks its connection is part of the test
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Front:
    """What stands before a server: it records, and breaks what a test tells it to.

    `seen` and `bodies` are what came; `statuses` answer the next requests in place of the server (None: the server does), with the
    headers and bodies of `said` where it has that status; `lost` says of the next requests that go through whether nobody gets their
    answers; `cut_after` are bytes after which the connections of the next answers end; `change` sees every body that goes back; `guard`
    gives a status to refuse a request with, by its headers; each request waits for `delay_s` before it goes through.
    """

    address: str = ""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    said: dict[int, tuple[dict[str, str], bytes]] = field(default_factory=dict)
    lost: list[bool] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    change: Callable[[bytes], bytes] = field(default=lambda body: body)
    guard: Callable[[Mapping[str, str]], int | None] = field(default=lambda headers: None)
    delay_s: float = 0


@contextmanager
def front_of(address: str, prefix: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Front]:
    """A front whose address has a `prefix` that its paths must begin with."""
    made = Front()
    upstream = urlsplit(address)

    class Handler(Quiet):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.seen.append((self.command, self.path, headers))
            made.bodies.append(body)
            status = made.statuses.pop(0) if made.statuses else made.guard(headers)
            time.sleep(made.delay_s)
            if status is not None:
                told, said = made.said.get(status, ({}, f"refused with {status}".encode()))
                self.reply(status, said, told)
                return
            if not self.path.startswith(f"{prefix}/"):
                self.reply(404, b"no such prefix")
                return
            self._hand_on(body, {name: value for name, value in headers.items() if name not in _HOP})

        do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = forward

        def _hand_on(self, body: bytes, headers: dict[str, str]) -> None:
            connection = HTTPConnection(upstream.netloc, timeout=30)
            connection.request(self.command, self.path.removeprefix(prefix), body or None, headers)
            answer = connection.getresponse()
            content = made.change(answer.read())
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            connection.close()
            if made.lost and made.lost.pop(0):
                self.close_connection = True
                return
            if not made.cut_after:
                self.reply(answer.status, content, kept)
                return
            self.send_response(answer.status)
            for name, value in kept.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: made.cut_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True

    with serving(Handler, tls) as host:
        made.address = f"{'http' if tls is None else 'https'}://{host}{prefix}"
        yield made
