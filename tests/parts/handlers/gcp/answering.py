"""The roles `api` and `worker` over a real bucket, database and topic, with a model of the test's own."""

import base64
import json
import uuid

from google.cloud.firestore import Client

from handlers.functions.call_settings import CallSettings
from handlers.functions.deadline import Until
from handlers.functions.environment import Environment
from handlers.functions.gcp.api import make_role
from handlers.functions.gcp.deferral import make_store
from handlers.functions.gcp.settings import MAX_ANSWER_BYTES, AnswerSettings
from handlers.functions.gcp.worker import WorkerRole
from handlers.functions.http_request import HttpRequest
from handlers.web.process import Boot
from tests.parts.handlers.answers_told import accepted, problem_of
from tests.parts.handlers.gcp.conftest import PROJECT, RESULTS_TOPIC, Bucket

__all__ = ["accepted", "problem_of"]

DATABASE, COLLECTION = "mine", "answers"
DAY_S, MAX_ATTEMPTS = 86_400, 5


class Cloud:
    """Bucket, database and topic of one test, and what is made of them."""

    def __init__(self, cloud_storage, firestore, topics):
        self.bucket, self.firestore, self.topics = Bucket(cloud_storage), firestore, topics
        self.database = Client(project=PROJECT, database=DATABASE)

    def variables(self, **more):
        told = {"ANSWERS_DATABASE": DATABASE, "ANSWERS_COLLECTION": COLLECTION, "ANSWERS_BUCKET": self.bucket.name}
        told |= {"ANSWERS_TOPIC": RESULTS_TOPIC, "ANSWERS_KEEP_HOURS": "24", "AUTH_MODE": "api-key", "GOOGLE_CLOUD_PROJECT": PROJECT}
        told |= {"ENDPOINT_URL": "http://127.0.0.1:1", "MODEL_TASK": "feature-extraction", "ENDPOINT_TIMEOUT_S": "10", "SERVICE": "mine"}
        return told | more

    def _settings(self, *, sends, **more):
        environment = Environment(self.variables(**more))
        read = CallSettings.read(environment, max_body_bytes=MAX_ANSWER_BYTES), AnswerSettings.read(environment, sends=sends)
        environment.check()
        return read

    def function(self, model, **more):
        calls, kept = self._settings(sends=True, **more)
        return make_role(calls, model, Boot(), kept)

    def worker(self, model):
        calls, kept = self._settings(sends=False)
        return WorkerRole(calls, model, make_store(kept), keep_s=kept.keep_s, attempts=kept.attempts)

    def row(self, answer_id):
        return self.database.document(f"{COLLECTION}/{answer_id}").get().to_dict()

    def rows(self):
        """All documents by their ids, keys among them."""
        names = [name.partition("/documents/")[2] for name in self.firestore.documents]
        return {each.id: each.to_dict() for each in self.database.get_all([self.database.document(name) for name in names]) if each.exists}

    def change(self, answer_id, **values):
        self.database.document(f"{COLLECTION}/{answer_id}").update(values)

    def messages(self):
        return [json.loads(message.data) for message in self.topics.messages[RESULTS_TOPIC]]

    def work(self, worker, *, attempt=1, message=None, seconds=60):
        """The status of the answer to the push of the last message (or this one)."""
        data = message or self.topics.messages[RESULTS_TOPIC][-1].data
        body = {"message": {"data": base64.b64encode(data).decode(), "messageId": "7"}, "subscription": "s", "deliveryAttempt": attempt}
        return pushed(worker, json.dumps(body).encode(), seconds=seconds)


def pushed(worker, body, *, seconds=60):
    request = HttpRequest("POST", "/", {}, body, None)
    return worker.answer(lambda: request, call_id=str(uuid.uuid4()), deadline=Until(seconds)).status


def asked(function, body=None, *, key="key-1", method="POST", path="/predict", seconds=10.5, **headers):
    """The answer to a request of a caller with an API key."""
    told = {"content-type": "application/json"} | ({"x-api-key": key} if key else {})
    told |= {name.replace("_", "-").lower(): value for name, value in headers.items()}
    content = b"" if method == "GET" else json.dumps({"inputs": "cold"} if body is None else body).encode()
    request = HttpRequest(method, path, told, content, None)
    return function.answer(lambda: request, call_id="call-1", deadline=Until(seconds))


def looked(function, answer_id, **more):
    return asked(function, method="GET", path=f"/results/{answer_id}", **more)
