"""The metadata server that processes on Google Cloud ask who they are: one port for each identity, since no request says who asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import h11

from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.tokens import LIFETIME_S, Tokens

# Compute Engine documentation, "View and query VM metadata"; Cloud Run documentation, "Container runtime contract".
_ROOT = "/computeMetadata/v1/"
_ACCOUNTS = "instance/service-accounts/"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
UNIVERSE = "googleapis.com"
# A client that goes quiet in the middle of its request.
QUIET_S = 10
_READ_BYTES = 65_536
_JSON, _TEXT = "application/json", "application/text"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whom a port answers: the account's address, where its process runs, and the id of the subnetwork that all it sends goes through,
    where there is one."""

    email: str
    project: str
    region: str
    subnetwork: str = ""


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    body: str
    type: str = _TEXT


class MetadataServer:
    """To be used in one loop."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._servers: dict[Identity, asyncio.Server] = {}
        self._opening = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()

    async def variables(self, identity: Identity) -> dict[str, str]:
        """What a process must find in its environment when it starts: Google's clients read both when they are imported.

        With the first alone they still ask 169.254.169.254 whether there is a server; with the second alone they look for its name.
        """
        address = f"127.0.0.1:{await self.port(identity)}"
        return {"GCE_METADATA_HOST": address, "GCE_METADATA_IP": address}

    async def port(self, identity: Identity) -> int:
        """The port of 127.0.0.1 that answers this identity, opened now if it is not yet."""
        async with self._opening:
            if identity not in self._servers:
                self._servers[identity] = await asyncio.start_server(
                    lambda reader, writer: self._connected(identity, reader, writer), "127.0.0.1", 0
                )
            return int(self._servers[identity].sockets[0].getsockname()[1])

    async def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, identity: Identity, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, h11.ProtocolError, asyncio.CancelledError):
                await self._serve(identity, reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, identity: Identity, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request: tokens are asked for once an hour, so that no connection is kept."""
        http = h11.Connection(h11.SERVER)
        async with asyncio.timeout(QUIET_S):
            request = await _received(http, reader)
            if request is None:
                return
            answer = self._answered(identity, request)
            body = answer.body.encode()
            headers = [
                ("Metadata-Flavor", "Google"),
                ("Server", "Metadata Server for VM"),
                ("Content-Type", answer.type),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            writer.write(http.send(h11.Response(status_code=answer.status, headers=headers)) or b"")
            if request.method != b"HEAD":
                writer.write(http.send(h11.Data(data=body)) or b"")
            await writer.drain()

    def _answered(self, identity: Identity, request: h11.Request) -> _Answer:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        target = urlsplit(request.target.decode("latin-1"))
        if request.method not in (b"GET", b"HEAD"):
            return _Answer(status=405, body="The metadata server is read: use GET.")
        if "x-forwarded-for" in headers:
            return _Answer(status=403, body="A request with the header X-Forwarded-For is refused: it may have been sent on for somebody.")
        if target.path in ("", "/"):
            return _Answer(status=200, body="computeMetadata/\n")
        if not f"{target.path}/".startswith(_ROOT):
            return _Answer(status=404, body=f"There is nothing at {target.path}: metadata is below {_ROOT}.")
        if headers.get("metadata-flavor") != "Google":
            return _Answer(status=403, body="Missing required header: Metadata-Flavor: Google.")
        query = {name: values[-1] for name, values in parse_qs(target.query).items()}
        path = target.path.removeprefix(_ROOT.rstrip("/")).strip("/")
        if f"{path}/".startswith(_ACCOUNTS):
            return self._account(identity, path.removeprefix(_ACCOUNTS.rstrip("/")).strip("/"), query)
        known = _place(identity)
        return _Answer(status=200, body=known[path]) if path in known else _missing(path, known)

    def _account(self, identity: Identity, path: str, query: Mapping[str, str]) -> _Answer:
        if not path:
            return _Answer(status=200, body=f"default/\n{identity.email}/\n")
        name, _, field = path.partition("/")
        if name not in ("default", identity.email):
            return _Answer(status=404, body=f"There is no service account {name} here: use default or {identity.email}.")
        if not field:
            return _summary(identity, query)
        if field == "identity":
            return self._identity(identity, query)
        if field == "token":
            token = {"access_token": self._tokens.access(identity.email), "expires_in": LIFETIME_S - 1, "token_type": "Bearer"}
            return _Answer(status=200, body=json.dumps(token), type=_JSON)
        known = {"email": identity.email, "aliases": "default\n", "scopes": "\n".join(SCOPES) + "\n"}
        return _Answer(status=200, body=known[field]) if field in known else _missing(field, {**known, "identity": "", "token": ""})

    def _identity(self, identity: Identity, query: Mapping[str, str]) -> _Answer:
        audience = query.get("audience")
        if not audience:
            return _Answer(status=400, body="non-empty audience parameter required")
        return _Answer(status=200, body=self._tokens.identity(identity.email, audience, identity.subnetwork))


def _place(identity: Identity) -> Mapping[str, str]:
    number = project_number(identity.project)
    return {
        "project/project-id": identity.project,
        "project/numeric-project-id": number,
        "instance/region": f"projects/{number}/regions/{identity.region}",
        "instance/zone": f"projects/{number}/zones/{identity.region}-1",
        "universe/universe-domain": UNIVERSE,
        "universe/universe_domain": UNIVERSE,
    }


def _summary(identity: Identity, query: Mapping[str, str]) -> _Answer:
    if query.get("recursive", "").lower() != "true":
        return _Answer(status=200, body="aliases\nemail\nidentity\nscopes\ntoken\n")
    return _Answer(status=200, body=json.dumps({"aliases": ["default"], "email": identity.email, "scopes": SCOPES}), type=_JSON)


def _missing(path: str, known: Mapping[str, str]) -> _Answer:
    return _Answer(status=404, body=f"There is no {path} here: the local twin serves {', '.join(sorted(known))}.")


async def _received(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The head of the next request, None where the client leaves before it is there. h11.ProtocolError."""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            return event
        else:
            return None
