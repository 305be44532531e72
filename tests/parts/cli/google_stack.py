"""An event stack on Google Cloud as its verbs see it: the twin's Storage, Firestore, Pub/Sub and Logging behind one small door, without
the rest of a twin, and a function that the test plays."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import socket
from types import SimpleNamespace
from typing import Any

import uvicorn
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1.types import PubsubMessage

from handlers.functions.gcp.results import FirestoreResults
from handlers.functions.rows import LATEST, Row
from pilotlight.cli.gcp import clients
from pilotlight.cli.session import Session
from pilotlight.twin.asgi import Request
from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.log_entries import Source
from pilotlight.twin.gcp.logging_plane import LoggingPlane, logs_of
from pilotlight.twin.gcp.planes import SERVED, google_planes
from pilotlight.twin.gcp.types import BUCKET, DATABASE, SUBSCRIPTION, TOPIC
from tests.parts.twin.gcp.account import PROJECT, REGION, Account
from tests.parts.twin.gcp.google_ports import Loop

BUCKET_NAME, RESULTS, SERVICE, OTHER = "demo-objects", "demo-results", "demo-events", "another-service"
SETTINGS = f"""config:
  gcp:project: {PROJECT}
  gcp:region: {REGION}
  pilotlight:service:
    pattern: events
    cloud: gcp
    events: {{prefix: in/, suffixes: [.txt, .json], minObjectBytes: 2}}
"""


class Door:
    """The twin's front, as far as Google Cloud is behind it."""

    def __init__(self, twin: Any, loop: Loop) -> None:
        self._twin, self._loop = twin, loop
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        twin.front_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self, lifespan="off", log_level="error", timeout_graceful_shutdown=1))
        self._serving = loop.wait(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> asyncio.Task[None]:
        return asyncio.create_task(self._server.serve(sockets=[listener]))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._twin.gcp.handle(Request.of(scope, receive), send)

    def close(self) -> None:
        async def end() -> None:
            self._server.should_exit = True
            await self._serving

        self._loop.wait(end())


class GoogleStack:
    """A stack `demo` that is up on the twin."""

    def __init__(self, session: Session) -> None:
        session.project.stack_file("demo").write_text(SETTINGS)
        folder = session.home.path
        folder.mkdir(parents=True, exist_ok=True)
        self.loop = Loop()
        self.account = Account(folder, google_planes())
        twin = self.twin = self.account.twin
        twin.timers, twin.clock, twin.wait = self.loop.timers, self.loop.clock, self.loop.wait
        twin.iam = SimpleNamespace(deployer=SimpleNamespace(secret_access_key="a-deployer's-secret"))
        self.door = Door(twin, self.loop)
        for place in SERVED:
            twin.gcp.planes.at(twin, place)
        self._declare()
        variables = self.loop.wait(twin.gcp.variables(twin, Caller()))
        self.session = dataclasses.replace(session, variables=variables)
        self.outputs = {
            "pattern": "events",
            "platform": "gcp-cloud-run",
            "project": PROJECT,
            "region": REGION,
            "objectsBucket": BUCKET_NAME,
            "resultsDatabase": "demo",
            "resultsTable": "results",
            "resultsBucket": RESULTS,
            "deadLetterQueueUrl": f"projects/{PROJECT}/subscriptions/dead",
            "replayTopic": f"projects/{PROJECT}/topics/replay",
        }
        self.resources = [{"type": "gcp:cloudrunv2/service:Service", "id": SERVICE, "outputs": {"name": SERVICE}}]
        self.sequence = 0
        self.publisher, self.subscriber = clients.publisher(variables), clients.subscriber(variables)
        self.database = clients.firestore(variables, PROJECT, "demo")

    def _declare(self) -> None:
        account = self.account
        account.enable("pubsub", "firestore", "storage", "cloudresourcemanager")
        for name in (BUCKET_NAME, RESULTS):
            account.make(BUCKET, name, {"name": name, "location": REGION, "versioning": {"enabled": True}})
        account.make(DATABASE, "demo", {"name": "demo", "locationId": REGION, "type": "FIRESTORE_NATIVE"})
        for name in ("dead", "replay"):
            account.make(TOPIC, name, {"name": name})
            account.make(SUBSCRIPTION, name, {"name": name, "topic": name, "ackDeadlineSeconds": 60.0})

    def close(self) -> None:
        self.door.close()
        self.loop.wait(self.twin.gcp.planes.close())
        self.account.world.close()
        self.loop.close()

    def stored(self, key: str) -> list[dict[str, Any]]:
        """The generations of an object, the oldest first."""
        asked = {"versions": "true", "prefix": key}
        found = clients.Api("storage", self.session.variables).ask("GET", f"/storage/v1/b/{BUCKET_NAME}/o", params=asked)
        return sorted(found.get("items", []), key=lambda one: int(one["generation"]))

    def version(self, key: str) -> str:
        """Its newest generation."""
        return str(self.stored(key)[-1]["generation"])

    def answer(self, key: str, version: str, result: Any, *, large: bool = False) -> None:
        """The documents that the function writes."""
        self.sequence += 1
        text = json.dumps(result)
        row = Row(
            object=f"{BUCKET_NAME}/{key}",
            version=version,
            sequencer=f"{self.sequence:020d}",
            etag="e",
            size=3,
            task="feature-extraction",
            at=f"2026-11-02T08:{self.sequence // 60:02d}:{self.sequence % 60:02d}Z",
            request_id=f"r{self.sequence}",
            result=None if large else text,
        )
        if large:
            path, name = f"/upload/storage/v1/b/{RESULTS}/o", f"results/{version}.json"
            clients.Api("storage", self.session.variables).ask(
                "POST", path, params={"uploadType": "media", "name": name}, data=text.encode()
            )
            row = dataclasses.replace(row, result_uri=f"gs://{RESULTS}/{name}")
        results = FirestoreResults(self.database, None, collection="results", bucket=RESULTS, task=row.task)  # type: ignore[arg-type]
        assert results._write(row, None).kind == "recorded"
        assert self.database.collection("results").document(f"{_sha(row.object)}-latest").get().to_dict()["version"] == LATEST

    def bury(self, key: str, version: str, reason: str | None = None, replay: str | None = None) -> None:
        """The event of an object generation among the dead letters, as who has taken it from a message that was replayed leaves it."""
        told = {name: text for name, text in (("reason", reason), ("replay", replay)) if text}
        data = {"bucket": BUCKET_NAME, "name": key, "generation": version, "size": "3"}
        event = {"ce-id": f"{key}-{version}", "ce-source": "//storage", "ce-type": "google.cloud.storage.object.v1.finalized"}
        self.send(json.dumps(data).encode(), {**event, **told})

    def send(self, data: bytes, attributes: dict[str, str], topic: str = "dead") -> None:
        self.publisher.publish(topic=f"projects/{PROJECT}/topics/{topic}", messages=[{"data": data, "attributes": attributes}])

    def held(self, subscription: str) -> int:
        """Messages that nobody has acknowledged."""
        plane: Any = self.twin.gcp.planes.of(self.twin, SUBSCRIPTION)
        return int(plane.service.store.held(f"projects/{PROJECT}/subscriptions/{subscription}"))

    def taken(self, subscription: str) -> list[PubsubMessage]:
        """What can be taken now."""
        name = f"projects/{PROJECT}/subscriptions/{subscription}"
        try:
            found = self.subscriber.pull(subscription=name, max_messages=1000, timeout=1, retry=None).received_messages
        except DeadlineExceeded:
            return []
        return [one.message for one in found]

    def say(self, line: str | dict[str, Any], service: str = SERVICE) -> None:
        """A line of a service."""
        source = Source(project=PROJECT, location=REGION, service=service, revision=f"{service}-00001-abc", instance="00ff")
        plane = logs_of(self.twin)
        assert isinstance(plane, LoggingPlane)
        plane.store.write(source, line if isinstance(line, str) else json.dumps(line))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
