"""Servers for what Google's side of the handlers calls: a metadata server, and a front that breaks what goes through it."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

ACCOUNT = "runner@my-project.iam.gserviceaccount.com"
_HOP = {"connection", "content-length", "transfer-encoding", "host"}


class _Quiet(BaseHTTPRequestHandler):
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
        self.wfile.write(body)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """`host:port` of a server on a thread of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
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
class Metadata:
    """The metadata server of one account; `asked` are the paths of what was asked, `failing` the statuses of the next answers."""

    host: str = ""
    lifetime_s: float = 3600
    asked: list[str] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def answer(self, path: str) -> tuple[int, str]:
        address = urlsplit(path)
        self.asked.append(path)
        if self.failing:
            return self.failing.pop(0), "Not now."
        if address.path == "/computeMetadata/v1/instance/service-accounts/default/token":
            return 200, json.dumps({"access_token": f"access-{len(self.asked)}", "expires_in": self.lifetime_s, "token_type": "Bearer"})
        if address.path == "/computeMetadata/v1/instance/service-accounts/default/identity":
            return 200, self.id_token(parse_qs(address.query)["audience"][0])
        return 404, "not found"

    def id_token(self, audience: str) -> str:
        now = int(time.time())
        claims = {
            "iss": "https://accounts.google.com",
            "aud": audience,
            "email": ACCOUNT,
            "sub": "1",
            "iat": now,
            # Not the number in `asked`, which a test may empty within the second of an earlier token.
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims | {"exp": now + int(self.lifetime_s)}, self.key, "RS256")

    def lets_in(self, headers: Mapping[str, str], audience: str) -> int | None:
        """None for a request with a token of ours for this audience, else the status that Cloud Run refuses it with."""
        try:
            return None if self.caller(headers, audience) == ACCOUNT else 403
        except jwt.InvalidTokenError:
            return 401

    def caller(self, headers: Mapping[str, str], audience: str) -> str:
        """Who calls, by the ID token of a request. Raises jwt.InvalidTokenError."""
        token = headers.get("authorization", "").removeprefix("Bearer ")
        return str(jwt.decode(token, self.key.public_key(), ["RS256"], audience=audience)["email"])


@contextmanager
def metadata_server() -> Iterator[Metadata]:
    """As Compute Engine's documents describe it: without its header nothing is told."""
    made = Metadata()

    class Handler(_Quiet):
        def do_GET(self) -> None:
            status, text = made.answer(self.path) if self.headers.get("Metadata-Flavor") == "Google" else (403, "Missing Metadata-Flavor")
            self.reply(status, text.encode(), {"Metadata-Flavor": "Google"})

    with serving(Handler) as host:
        made.host = host
        yield made


@dataclass
class Front:
    """What stands before a server: it records, and breaks what a test tells it to.

    `statuses` answer the next requests in place of the server (None: the server does); `cut_after` are bytes after which the
    connections of the next answers end; `change` sees every body that goes back; `guard` gives a status to refuse a request with, by
    its headers; each request waits for `delay_s` before it goes through.
    """

    address: str = ""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    change: Callable[[bytes], bytes] = field(default=lambda body: body)
    guard: Callable[[Mapping[str, str]], int | None] = field(default=lambda headers: None)
    delay_s: float = 0


@contextmanager
def front_of(address: str, prefix: str = "") -> Iterator[Front]:
    """A front whose address has a `prefix` that its paths must begin with."""
    made = Front()
    upstream = urlsplit(address)

    class Handler(_Quiet):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.seen.append((self.command, self.path, headers))
            status = made.statuses.pop(0) if made.statuses else made.guard(headers)
            time.sleep(made.delay_s)
            if status is not None:
                self.reply(status, f"refused with {status}".encode())
                return
            if not self.path.startswith(f"{prefix}/"):
                self.reply(404, b"no such prefix")
                return
            self._hand_on(body, {name: value for name, value in headers.items() if name not in _HOP})

        do_GET = do_POST = do_PATCH = forward

        def _hand_on(self, body: bytes, headers: dict[str, str]) -> None:
            connection = HTTPConnection(upstream.netloc, timeout=30)
            connection.request(self.command, self.path.removeprefix(prefix), body or None, headers)
            answer = connection.getresponse()
            content = made.change(answer.read())
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            connection.close()
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

    with serving(Handler) as host:
        made.address = f"http://{host}{prefix}"
        yield made


@dataclass
class Apis:
    """Cloud Scheduler's and Cloud Run's APIs, as far as a floor needs them; `failing` are statuses by path."""

    jobs: dict[str, str]
    floors: dict[str, int]
    address: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        address = urlsplit(path)
        if address.path in self.failing:
            return self.failing[address.path], {"error": {"message": "Told to fail."}}
        name, _, verb = address.path.removeprefix("/v1/").removeprefix("/v2/").partition(":")
        if name in self.jobs:
            return self._job(method, name, verb)
        if name not in self.floors:
            return 404, {"error": {"message": f"{name} is not there."}}
        if method == "PATCH":
            assert parse_qs(address.query) == {"updateMask": ["scaling.minInstanceCount"]}
            self.floors[name] = json.loads(body)["scaling"]["minInstanceCount"]
            return 200, {"name": "projects/my-project/locations/europe-west1/operations/1"}
        scaling = {"minInstanceCount": self.floors[name]} if self.floors[name] else {}
        return 200, {"name": name, "scaling": scaling}

    def _job(self, method: str, name: str, verb: str) -> tuple[int, dict[str, Any]]:
        if (method, verb) == ("POST", "pause"):
            if self.jobs[name] != "ENABLED":
                return 400, {"error": {"status": "FAILED_PRECONDITION"}}
            self.jobs[name] = "PAUSED"
        return 200, {"name": name, "state": self.jobs[name]}


@contextmanager
def apis_of(jobs: dict[str, str], floors: dict[str, int]) -> Iterator[Apis]:
    made = Apis(dict(jobs), dict(floors))

    class Handler(_Quiet):
        def forward(self) -> None:
            made.asked.append((self.command, self.path, self.headers.get("Authorization")))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = made.answer(self.command, self.path, body)
            self.reply(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        do_GET = do_POST = do_PATCH = forward

    with serving(Handler) as host:
        made.address = f"http://{host}"
        yield made
