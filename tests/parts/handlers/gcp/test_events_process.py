"""The role `events` as a process, over real servers all the way: an event in, the model's very answer in the database."""

import json

import pytest

from tests.parts.handlers.gcp.event_world import World
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.processes import exit_of, running

ROLE = ("handlers.functions.gcp", "events")


@pytest.fixture
def world(cloud_storage, firestore, topics):
    return World(cloud_storage, firestore, topics)


def test_an_event_becomes_the_models_answer(world, google, server, metadata, firestore, topics, tmp_path):
    with front_of(str(server.client.base_url)) as endpoint:
        endpoint.guard = lambda headers: metadata.lets_in(headers, endpoint.address)
        told = world.variables(
            RESULTS="table,queue", MODEL_TASK="feature-extraction", ENDPOINT_URL=endpoint.address, K_SERVICE="mine", **google
        )
        emulators = {"FIRESTORE_EMULATOR_HOST": firestore.address, "PUBSUB_EMULATOR_HOST": topics.address}
        with running(tmp_path, module=ROLE, probe="/health/startup", **told, **emulators) as started:
            pushed = world.put("in/a.txt", "cold start")
            answers = [started.client.post("/", content=pushed.body, headers=pushed.headers) for _ in range(2)]
            assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 2
            broken = world.put("in/b.txt", b"\xff")
            assert started.client.post("/", content=broken.body, headers=broken.headers).status_code == 200
            assert started.client.post("/", content=b"{}").status_code == 400
            started.process.terminate()
            assert started.process.wait(timeout=10) == 0
    generation = json.loads(pushed.body)["generation"]
    outputs = server.predict({"inputs": "cold start"}).json()
    assert json.loads(world.documents()["in/a.txt", generation]["result"]) == outputs
    assert [message["result"] for message in world.sent()] == [outputs]
    assert [letter.attributes["reason"] for letter in world.dead()] == ["The object is not UTF-8: byte 0 is 0xff."]
    lines = [json.loads(line) for line in started.log.splitlines()]
    assert [line["outcome"] for line in lines if line["event"] == "object"] == ["recorded", "known", "refused"]
    assert {line["severity"] for line in lines} <= {"INFO", "WARNING", "ERROR"}


def test_bad_variables_end_it(tmp_path):
    status, log = exit_of(tmp_path, ROLE)
    assert (status, json.loads(log)["event"]) == (1, "settings_refused")
