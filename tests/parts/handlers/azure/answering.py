"""The roles `api` and `worker` over a container, a table and queues, with a model of the test's own."""

import base64
import json

from handlers.functions.azure import settings
from handlers.functions.azure.api import make_role
from handlers.functions.azure.consumer_settings import ConsumerSettings
from handlers.functions.azure.entities import decoded
from handlers.functions.azure.places import Place
from handlers.functions.azure.queues import Queue
from handlers.functions.azure.settings import AnswerSettings
from handlers.functions.azure.worker import WorkerRole
from handlers.functions.call_settings import CallSettings
from handlers.functions.deadline import Until
from handlers.functions.environment import Environment
from handlers.functions.http_request import HttpRequest
from handlers.web.process import Boot
from tests.parts.handlers.answering import Model
from tests.parts.handlers.answers_told import accepted
from tests.parts.handlers.azure.event_world import once

DAY_S, MAX_ATTEMPTS = 86_400, 3
CALLER = "key:subscription-1"


class Cloud:
    """Container, table and queues of one test, and what is made of them."""

    def __init__(self, azure):
        self.azure, self.front = azure, azure.front
        self.queues, self.tables, self.blobs = azure.account.queues.queues, azure.account.tables.tables, azure.account.blobs
        self.queues |= {"answers": [], "dead": []}
        self.tables["answers"] = {}
        self.blobs.containers.add("answers")

    def variables(self, **more):
        told = {"ANSWERS_TABLE_URL": f"{self.azure.url('table')}/answers", "ANSWERS_CONTAINER_URL": self.azure.blob("answers")}
        told |= {"ANSWERS_QUEUE_URL": f"{self.azure.url('queue')}/answers", "DEAD_LETTER_QUEUE_URL": f"{self.azure.url('queue')}/dead"}
        told |= {"ANSWERS_KEEP_HOURS": "24", "MAX_ATTEMPTS": str(MAX_ATTEMPTS), "VISIBILITY_S": "30", "SERVICE": "mine"}
        told |= {"ENDPOINT_URL": "http://127.0.0.1:1", "MODEL_TASK": "feature-extraction", "ENDPOINT_TIMEOUT_S": "10"}
        return told | more

    def _read(self, **more):
        environment = Environment(self.variables(**more))
        calls, kept = CallSettings.read(environment, max_body_bytes=settings.MOST_BYTES), AnswerSettings.read(environment)
        taking = ConsumerSettings.read(environment, 15)
        environment.check()
        return calls, kept, taking

    def function(self, model, **more):
        calls, kept, _ = self._read(**more)
        return make_role(calls, model, Boot(), kept, most=settings.MAX_ANSWER_BYTES, at_once=8)

    def worker(self, model, **more):
        calls, kept, taking = self._read(**more)
        dead = Place(self.azure.url("queue"), "dead")
        return WorkerRole(calls, model, kept, taking, dead=dead, most=settings.MAX_ANSWER_BYTES)

    def work(self, worker):
        """One attempt of every message."""
        once(worker, self)

    def again(self):
        for message in self.queues["answers"]:
            message.seen_at = 0.0

    def send(self, message):
        Queue(self.azure.url("queue"), "answers").put(message)

    def rows(self):
        """Partition -> properties, keys among them."""
        return {told["PartitionKey"]: dict(decoded(told, "").properties) for told in self.tables["answers"].values()}

    def change(self, answer_id, **values):
        """As time would; numbers are Doubles."""
        key = (answer_id, "answer")
        told = values | {f"{name}@odata.type": "Edm.Double" for name in values}
        self.azure.account.tables._store("answers", key, self.tables["answers"][key] | told)

    def messages(self, queue="answers"):
        return [json.loads(base64.b64decode(each.text)) for each in self.queues[queue]]


def asked(function, body=None, *, caller=CALLER, method="POST", path="/predict", seconds=10.5, **headers):
    """The answer to a request of a caller that API Management tells of."""
    told = {"content-type": "application/json"} | ({"x-pilotlight-caller": caller} if caller else {})
    told |= {name.replace("_", "-").lower(): value for name, value in headers.items()}
    content = b"" if method == "GET" else json.dumps({"inputs": "cold"} if body is None else body).encode()
    request = HttpRequest(method, path, told, content, None)
    return function.answer(lambda: request, call_id="call-1", deadline=Until(seconds))


def handed_over(cloud, **headers):
    """The id of an answer that comes later."""
    return accepted(asked(cloud.function(Model()), prefer="respond-async", **headers))


def guard(cloud, part, status, times=99, method=None):
    """Refuse requests whose paths have `part`, so often."""
    left = [times]

    def judge(headers):
        asked_, path, _ = cloud.front.seen[-1]
        if part in path and left[0] and (method is None or asked_ == method):
            left[0] -= 1
            return status
        return None

    cloud.front.guard = judge


def looked(function, answer_id, **more):
    return asked(function, method="GET", path=f"/results/{answer_id}", **more)
