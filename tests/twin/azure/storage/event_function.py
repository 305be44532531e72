"""The event function on a real twin's storage, as it is deployed: an identity with the roles that it needs and no others, events by Event
Grid, a model of the test's own."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from components.azure.cosmos import WRITES_ROWS
from handlers.functions.azure.event_settings import EventSettings
from handlers.functions.azure.events import EventsRole
from handlers.functions.endpoint import EndpointAnswer
from pilotlight.twin.azure.types import APP, EVENT_SUBSCRIPTION, IDENTITY, SYSTEM_TOPIC
from pilotlight.twin.world import Resource
from tests.parts.handlers.azure.event_world import taking
from tests.parts.handlers.http_servers import Quiet, serving
from tests.parts.twin.azure.eventgrid import CONTRIBUTOR, SENDER, subscription, topic
from tests.twin.azure.accounts import account, client, container, cosmos_grant, cosmos_table, queue, table
from tests.twin.azure.harness import GROUP_ID, AzureHarness

Rows = dict[tuple[str, str], dict[str, Any]]


@dataclass
class Model:
    """Answers one vector a text, [its length], after `delay_s`; `asked` are the texts."""

    delay_s: float = 0.0
    asked: list[str] = field(default_factory=list)

    def invoke(self, body: bytes, *, request_id: str, budget_s: float) -> EndpointAnswer:
        texts = json.loads(body)["inputs"]
        self.asked += texts
        time.sleep(self.delay_s)
        return EndpointAnswer(json.dumps({"outputs": [[len(text)] for text in texts]}).encode(), {})

    @contextmanager
    def served(self) -> Iterator[str]:
        """The same at an address, for processes."""
        model = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = model.invoke(body, request_id="", budget_s=1.0)
                self.reply(200, answer.body, {"Content-Type": "application/json"})

        with serving(Handler) as host:
            yield f"http://{host}"


_NUMBERS = itertools.count(1)


class Deployed:
    """One account with everything, but for the table of results where Cosmos DB has it, and who the function is."""

    def __init__(self, harness: AzureHarness, name: str, cosmos: Resource | None = None) -> None:
        # A second try of a test finds what the first one made.
        name = f"{name}-{next(_NUMBERS)}"
        self.harness, self.model = harness, Model()
        self.work = account(harness)
        self.objects, self.large, self.dead_events = (container(harness, self.work, each) for each in ("objects", "results", "dead-events"))
        for each in ("events", "dead", "results"):
            queue(harness, self.work, each)
        self.cosmos = cosmos
        self.rows_client = cosmos_table(harness, cosmos, "results") if cosmos else table(harness, self.work, "results")
        self.who = harness.identity(f"events-{name}")
        if cosmos:
            cosmos_grant(harness, cosmos, self.who, WRITES_ROWS)
        for role, below in [
            ("Storage Queue Data Contributor", "queueServices/default/queues/events"),
            (SENDER, "queueServices/default/queues/dead"),
            (SENDER, "queueServices/default/queues/results"),
            *([] if cosmos else [("Storage Table Data Contributor", "tableServices/default/tables/results")]),
            ("Storage Blob Data Reader", "blobServices/default/containers/objects"),
            (CONTRIBUTOR, "blobServices/default/containers/results"),
        ]:
            harness.grant(self.who, role, f"{self.work.id}/{below}")
        self.topic = harness.make(SYSTEM_TOPIC, name, **topic(self.work, name=name))
        grid = Resource(token=IDENTITY, id=name, urn="", outputs={"principalId": self.topic["identity"]["principalId"]})
        self.sender = harness.grant(grid, SENDER, f"{self.work.id}/queueServices/default/queues/events")
        harness.grant(grid, CONTRIBUTOR, f"{self.work.id}/blobServices/default/containers/dead-events")
        harness.make(EVENT_SUBSCRIPTION, name, **subscription(self.work, self.topic))

    def url(self, service: str, name: str) -> str:
        return f"{self.work['primaryEndpoints'][service].rstrip('/')}/{name}"

    def variables(self, **more: str) -> dict[str, str]:
        """Of the function's process."""
        assigned = {self.who.id: {"principalId": self.who["principalId"], "clientId": self.who["clientId"]}}
        id_ = f"{GROUP_ID}/providers/Microsoft.App/containerApps/{self.who['name']}"
        app = Resource(token=APP, id=id_, urn="", outputs={"identity": {"userAssignedIdentities": assigned}})
        told = {**self.harness.twin.azure.variables(self.harness.twin, app), "AZURE_CLIENT_ID": self.who["clientId"]}
        told |= {"EVENTS_QUEUE_URL": self.url("queue", "events"), "DEAD_LETTER_QUEUE_URL": self.url("queue", "dead")}
        told |= {
            "RESULTS": "table,queue",
            "RESULTS_TABLE_SERVICE": "cosmos" if self.cosmos else "storage",
            "RESULTS_QUEUE_URL": self.url("queue", "results"),
            "RESULTS_TABLE_URL": f"{self.cosmos['documentEndpoint']}results" if self.cosmos else self.url("table", "results"),
        }
        told |= {"RESULTS_CONTAINER_URL": self.url("blob", "results"), "OBJECTS_URL": self.url("blob", "objects"), "SERVICE": "mine"}
        told |= {"MODEL_TASK": "sentence-embedding", "ENDPOINT_URL": "http://127.0.0.1:1", "MAX_ATTEMPTS": "5", "VISIBILITY_S": "20"}
        return told | more

    def role(self, **more: str) -> EventsRole:
        return EventsRole(EventSettings.from_environment(self.variables(**more)), self.model)

    @contextmanager
    def at_work(self, count: int = 1, **more: str) -> Iterator[None]:
        """So many replicas, as threads of this process."""
        with ExitStack() as open_:
            for _ in range(count):
                open_.enter_context(taking(self.role(**more).consumer))
            yield

    def rows(self) -> Rows:
        """(key, version) -> the attributes of each row, the pointers among them."""
        found = [dict(entity) for entity in self.rows_client.list_entities()]
        return {(row["object"].removeprefix("objects/"), row["version"]): row for row in found}

    def results(self) -> list[str]:
        """The key of each row that is a result."""
        return sorted(key for key, version in self.rows() if version != "#latest")

    def told(self, name: str) -> list[dict[str, Any]]:
        """What lies in a queue, as far as it can be seen."""
        return [json.loads(base64.b64decode(message.content)) for message in self._queue(name).peek_messages(max_messages=32)]

    def take(self, name: str) -> list[dict[str, Any]]:
        """All that can be seen, taken out."""
        taken, found = self._queue(name), []
        for message in taken.receive_messages(messages_per_page=32):
            taken.delete_message(message)
            found.append(json.loads(base64.b64decode(message.content)))
        return found

    def send(self, event: dict[str, Any]) -> None:
        self._queue("events").send_message(base64.b64encode(json.dumps(event).encode()).decode())

    def events(self) -> int:
        """How many are left, the invisible ones too."""
        return int(self._queue("events").get_queue_properties().approximate_message_count)

    def _queue(self, name: str) -> Any:
        return client(self.harness, self.work, "queue").get_queue_client(name)
