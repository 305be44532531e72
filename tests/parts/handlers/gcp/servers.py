"""Servers for what Google's side of the handlers calls: a metadata server, and the APIs that a floor needs."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.parts.handlers.http_servers import Quiet, serving

ACCOUNT = "runner@my-project.iam.gserviceaccount.com"


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

    class Handler(Quiet):
        def do_GET(self) -> None:
            status, text = made.answer(self.path) if self.headers.get("Metadata-Flavor") == "Google" else (403, "Missing Metadata-Flavor")
            self.reply(status, text.encode(), {"Metadata-Flavor": "Google"})

    with serving(Handler) as host:
        made.host = host
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

    class Handler(Quiet):
        def forward(self) -> None:
            made.asked.append((self.command, self.path, self.headers.get("Authorization")))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = made.answer(self.command, self.path, body)
            self.reply(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        do_GET = do_POST = do_PATCH = forward

    with serving(Handler) as host:
        made.address = f"http://{host}"
        yield made
