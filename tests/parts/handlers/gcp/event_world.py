"""What the role `events` finds on Google Cloud, as a test arranges and reads it."""

import base64
import itertools
import json
import uuid

from google.cloud.firestore import Client

from handlers.functions.deadline import Until
from handlers.functions.gcp.event_settings import EventSettings
from handlers.functions.gcp.events import EventsRole
from handlers.functions.http_request import HttpRequest
from tests.parts.handlers.event_world import Model
from tests.parts.handlers.gcp.conftest import DEAD_TOPIC, PROJECT, RESULTS_TOPIC, Bucket

DATABASE, COLLECTION = "mine", "results"
MAX_ATTEMPTS = 3


class World:
    """Buckets, a database, topics, and a model that can be told to fail."""

    def __init__(self, cloud_storage, firestore, topics):
        self.objects, self.large = Bucket(cloud_storage), Bucket(cloud_storage)
        self.firestore, self.topics = firestore, topics
        self.database = Client(project=PROJECT, database=DATABASE)
        self.model = Model()
        self._ids = itertools.count(1)

    def variables(self, **more):
        told = {"RESULTS": "table", "RESULTS_DATABASE": DATABASE, "RESULTS_COLLECTION": COLLECTION, "RESULTS_BUCKET": self.large.name}
        told |= {"RESULTS_TOPIC": RESULTS_TOPIC, "DEAD_LETTER_TOPIC": DEAD_TOPIC, "MAX_ATTEMPTS": str(MAX_ATTEMPTS), "SERVICE": "mine"}
        told |= {"GOOGLE_CLOUD_PROJECT": PROJECT, "MODEL_TASK": "sentence-embedding", "ENDPOINT_URL": "http://127.0.0.1:1"}
        return told | more

    def role(self, **more):
        return EventsRole(EventSettings.from_environment(self.variables(**more)), self.model)

    def put(self, key, body="some text", content_type="text/plain"):
        """Store an object; the request that Eventarc pushes for it."""
        generation = self.objects.put(key, body, content_type)
        size = len(body if isinstance(body, bytes) else body.encode())
        return self.event(key, generation, size)

    def event(self, key, generation, size, /, **changed):
        data = {"kind": "storage#object", "bucket": self.objects.name, "name": key, "generation": generation, "size": str(size)}
        data |= {"metageneration": "1", "contentType": "text/plain", "etag": f"etag-{generation}", "storageClass": "STANDARD"}
        return pushed(json.dumps(data | changed).encode(), next(self._ids), self.objects.name)

    def documents(self):
        """(key, version) -> the attributes of each result's document, the pointers among them."""
        found = [each.to_dict() for each in self._all() if not each.reference.path.startswith(f"{COLLECTION}-")]
        return {(document["object"].removeprefix(f"{self.objects.name}/"), document["version"]): document for document in found}

    def attempts(self):
        """Documents of events that are not delivered."""
        return [each for each in self._attempts() if not each["over"]]

    def over(self):
        """Documents of events that are."""
        return [each for each in self._attempts() if each["over"]]

    def _attempts(self):
        return [each.to_dict() for each in self._all() if each.reference.path.startswith(f"{COLLECTION}-attempts/")]

    def _all(self):
        names = list(self.firestore.documents)
        references = [self.database.document(name.partition("/documents/")[2]) for name in names]
        return [each for each in self.database.get_all(references) if each.exists]

    def sent(self):
        return [json.loads(message.data) for message in self.topics.messages[RESULTS_TOPIC]]

    def dead(self):
        return self.topics.messages[DEAD_TOPIC]


def pushed(data, number, bucket, **attributes):
    """A request of Eventarc's with an event of Cloud Storage."""
    told = {
        "ce-id": str(1000 + number),
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "ce-specversion": "1.0",
        "ce-subject": "objects/some",
        "ce-time": "2026-11-26T03:00:00Z",
        "content-type": "application/json",
    }
    return HttpRequest("POST", "/", told | attributes, data, None)


def replayed(message, number=1):
    """A request of Pub/Sub's with a dead letter that was published again."""
    body = {
        "message": {
            "data": base64.b64encode(message.data).decode(),
            "attributes": dict(message.attributes),
            "messageId": str(number),
            "publishTime": "2026-11-26T03:00:00Z",
        },
        "subscription": f"projects/{PROJECT}/subscriptions/mine-replay",
    }
    return HttpRequest("POST", "/", {"content-type": "application/json"}, json.dumps(body).encode(), None)


def deliver(role, request, *, seconds=60):
    """The status of the answer to a delivery."""
    return role.answer(lambda: request, call_id=str(uuid.uuid4()), deadline=Until(seconds)).status
