"""What the role `events` finds on Azure, as a test arranges and reads it."""

import base64
import itertools
import json
import threading
import time
from contextlib import contextmanager

from handlers.functions.azure.entities import decoded, of_parts
from handlers.functions.azure.event_settings import EventSettings
from handlers.functions.azure.events import EventsRole
from handlers.functions.azure.held import Held
from handlers.functions.azure.queues import Queue
from tests.parts.handlers.event_world import Model

MAX_ATTEMPTS = 3
QUEUES = ("events", "dead", "results")


class World:
    """An account with containers, queues and a table, and a model that can be told to fail."""

    def __init__(self, azure):
        self.azure, self.account, self.front = azure, azure.account, azure.front
        self.account.blobs.containers |= {"objects", "results"}
        self.account.queues.queues |= {name: [] for name in QUEUES}
        self.account.tables.tables["results"] = {}
        self.model = Model()
        self._ids = itertools.count(1)

    def variables(self, **more):
        told = {"RESULTS": "table", "MAX_ATTEMPTS": str(MAX_ATTEMPTS), "VISIBILITY_S": "30", "SERVICE": "mine", "CONCURRENCY": "4"}
        told |= {"RESULTS_TABLE_SERVICE": "storage"}
        told |= {"EVENTS_QUEUE_URL": f"{self.azure.url('queue')}/events", "DEAD_LETTER_QUEUE_URL": f"{self.azure.url('queue')}/dead"}
        told |= {"RESULTS_QUEUE_URL": f"{self.azure.url('queue')}/results", "RESULTS_TABLE_URL": f"{self.azure.url('table')}/results"}
        told |= {"RESULTS_CONTAINER_URL": self.azure.blob("results"), "OBJECTS_URL": self.azure.blob("objects")}
        told |= {"MODEL_TASK": "sentence-embedding", "ENDPOINT_URL": "http://127.0.0.1:1", "DRAIN_S": "5"}
        return told | more

    def role(self, **more):
        return EventsRole(EventSettings.from_environment(self.variables(**more)), self.model)

    def put(self, key, body="some text", content_type="text/plain", **changed):
        """Store a blob and put its event into the queue: the event."""
        stored = self.account.blobs.put(f"objects/{key}", body, content_type)
        return self.event(key, stored.etag.strip('"'), len(stored.body), **changed)

    def event(self, key, etag, size, *, sends=True, **changed):
        number = next(self._ids)
        data = {"api": "PutBlob", "clientRequestId": f"client-{number}", "requestId": f"upload-{number}", "eTag": etag}
        data |= {"contentType": "text/plain", "contentLength": size, "blobType": "BlockBlob", "url": self.azure.blob(f"objects/{key}")}
        data |= {"sequencer": f"{number:048X}", "storageDiagnostics": {"batchId": "b"}}
        told = {"topic": "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/mine"}
        told |= {"subject": f"/blobServices/default/containers/objects/blobs/{key}", "eventType": "Microsoft.Storage.BlobCreated"}
        told |= {"id": f"event-{number}", "data": data | changed.pop("data", {}), "dataVersion": "", "metadataVersion": "1"}
        told |= {"eventTime": "2026-11-26T03:00:00.0000000Z"} | changed
        if sends:
            self.send(told)
        return told

    def send(self, event, queue="events"):
        """As Event Grid does: base64."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        Queue(self.azure.url("queue"), queue).put(body)

    def rows(self):
        """(key, version) -> the attributes of each row, the pointers among them, with results in one part and attributes by
        their own names."""
        found = {}
        for told in self.account.tables.tables["results"].values():
            entity = decoded(told, "")
            properties = {name: value for name, value in entity.properties.items() if not name.startswith(("result_", "objectEtag"))}
            if "objectEtag" in entity.properties:
                properties["etag"] = entity.properties["objectEtag"]
            if "result" in properties:
                properties["result"] = of_parts("result", entity.properties)
            found[properties["object"].removeprefix("objects/"), properties["version"]] = properties
        return found

    def results(self):
        """Keys of objects that have one, with their versions."""
        return sorted(id_ for id_ in self.rows() if id_[1] != "#latest")

    def held(self, queue="events"):
        """Messages of a queue, the invisible ones too."""
        return [json.loads(base64.b64decode(each.text)) for each in self.account.queues.queues[queue]]

    def dead(self):
        return self.held("dead")

    def sent(self):
        return self.held("results")

    def again(self):
        """End the pause of every message."""
        for each in self.account.queues.queues["events"]:
            each.seen_at = 0.0

    def settled(self):
        """Wait until no message can be taken and none is under way."""
        until(lambda: not [each for each in self.account.queues.queues["events"] if each.seen_at <= time.time() or not each.taken])


@contextmanager
def taking(consumer):
    """A consumer at work, which is told to leave at the end."""
    leaving = threading.Event()
    thread = threading.Thread(target=consumer.run, args=(leaving,), daemon=True)
    thread.start()
    try:
        yield leaving
    finally:
        leaving.set()
        thread.join(20)
        assert not thread.is_alive()


def until(true, seconds=15.0):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.01)


def once(role, world):
    """Every message, paused or not, is worked on once, in this thread; what comes of each is done with it."""
    world.again()
    for message in role.consumer._queue.get(unseen_s=30):
        role.consumer._handle(Held(role.consumer._queue, message, 30), threading.Event())
