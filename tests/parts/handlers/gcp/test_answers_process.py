"""Answers that come later with both roles as processes: from a model that is too slow for its caller to the answer at its address."""

import base64
import json

import pytest

from tests.parts.handlers.gcp.answering import Cloud
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.processes import running

PROBE = "/health/startup"


@pytest.fixture
def world(cloud_storage, firestore, topics):
    return Cloud(cloud_storage, firestore, topics)


def test_a_late_answer_is_handed_over_worked_on_and_given_to_its_owner(world, google, server, metadata, firestore, topics, tmp_path):
    emulators = {"FIRESTORE_EMULATOR_HOST": firestore.address, "PUBSUB_EMULATOR_HOST": topics.address, "K_SERVICE": "mine", **google}
    with front_of(str(server.client.base_url)) as endpoint:
        endpoint.guard = lambda headers: metadata.lets_in(headers, endpoint.address)
        told = world.variables(ENDPOINT_URL=endpoint.address, ENDPOINT_TIMEOUT_S="2.5", **emulators)
        endpoint.delay_s = 1.5
        with running(tmp_path, module=("handlers.functions.gcp", "api"), probe=PROBE, **told) as function:
            key = {"x-api-key": "key-1", "x-forwarded-host": "mine.gateway.dev"}
            answer = function.client.post("/predict", json={"inputs": "cold start"}, headers=key)
            assert answer.status_code == 202
            path = answer.headers["location"].removeprefix("https://mine.gateway.dev")
            assert function.client.get(path, headers=key).status_code == 202
            endpoint.delay_s = 0
            with running(tmp_path, module=("handlers.functions.gcp", "worker"), probe=PROBE, **told) as worker:
                data = base64.b64encode(json.dumps(world.messages()[0]).encode()).decode()
                push = {"message": {"data": data, "messageId": "1"}, "deliveryAttempt": 1}
                assert worker.client.post("/", json=push).status_code == 200
            found = function.client.get(path, headers=key)
            assert (found.status_code, found.json()) == (200, server.predict({"inputs": "cold start"}).json())
            assert function.client.get(path, headers={"x-api-key": "key-2"}).status_code == 404
    for started in (function, worker):
        assert {json.loads(line)["severity"] for line in started.log.splitlines()} <= {"INFO", "WARNING"}
