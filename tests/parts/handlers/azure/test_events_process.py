"""The roles `events` and `worker` as processes, over real servers all the way: killed in the middle, told to leave, and at work again."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from handlers.functions.azure.consuming import CUT_OFF
from tests.parts.handlers.answering import Model
from tests.parts.handlers.azure.answering import Cloud, asked
from tests.parts.handlers.azure.event_world import World, until
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.processes import ROOT, exit_of, running
from tests.support.size import only_all


@pytest.fixture
def world(azure):
    return World(azure)


@pytest.fixture
def endpoint(server, certificate):
    with front_of(str(server.client.base_url), tls=certificate.context) as made:
        yield made


def process(world, endpoint, folder, role="events", **more):
    told = world.variables(MODEL_TASK="feature-extraction", ENDPOINT_URL=endpoint.address, CONTAINER_APP_NAME=f"mine-{role}", **more)
    return running(folder, ready=False, module=("handlers.functions.azure", role), **told | world.azure.variables)


def ended(started):
    """The exit status after SIGTERM."""
    started.process.send_signal(signal.SIGTERM)
    return started.process.wait(timeout=20)


def lines(started, event):
    return [line for line in map(json.loads, started.log.splitlines()) if line["event"] == event]


def test_an_event_becomes_the_models_answer(world, endpoint, server, tmp_path):
    with process(world, endpoint, tmp_path, RESULTS="table,queue") as started:
        event = world.put("in/a.txt", "cold start")
        until(lambda: world.held() == [])
        world.send(event)
        world.put("in/b.txt", b"\xff")
        until(lambda: world.held() == [])
        assert ended(started) == 0
    outputs = server.predict({"inputs": "cold start"}).json()
    assert json.loads(world.rows()["in/a.txt", event["data"]["eTag"]]["result"]) == outputs
    assert [message["result"] for message in world.sent()] == [outputs]
    assert [letter["reason"] for letter in world.dead()] == ["The object is not UTF-8: byte 0 is 0xff."]
    assert [line["given_back"] for line in lines(started, "leaving")] == [0]
    assert {line["outcome"] for line in lines(started, "object")} == {"recorded", "known", "refused"}


def test_what_a_killed_process_had_is_worked_on_by_another_one_and_recorded_once(world, endpoint, tmp_path):
    endpoint.delay_s = 5
    with process(world, endpoint, tmp_path, VISIBILITY_S="2", CONCURRENCY="8") as killed:
        for number in range(5):
            world.put(f"{number}.txt")
        until(lambda: len(endpoint.seen) == 5)
        killed.process.kill()
        killed.process.wait()
    endpoint.delay_s = 0
    assert world.results() == []
    with process(world, endpoint, tmp_path, VISIBILITY_S="2", CONCURRENCY="8") as second:
        until(lambda: world.held() == [])
        assert ended(second) == 0
    assert [key for key, _ in world.results()] == [f"{number}.txt" for number in range(5)]
    assert [line["attempt"] for line in lines(second, "object")] == [2] * 5
    assert world.dead() == []


def test_an_event_that_kills_its_process_takes_others_along_once(world, endpoint, tmp_path):
    """The process ends in the middle of the one request that it must not answer, whatever else is under way there."""
    names = ["a", "b", "poison", "c", "d"]
    events = {name: world.put(f"{name}.txt") for name in names}
    endpoint.delay_s, killed, alive = 0.5, [], []

    def kill(headers):
        if headers["x-request-id"] == events["poison"]["data"]["requestId"]:
            until(lambda: killed or len(endpoint.seen) == 5)
            killed.append(len(endpoint.seen))
            alive[-1].kill()

    endpoint.guard = kill
    while world.held():
        with process(world, endpoint, tmp_path, VISIBILITY_S="2", CONCURRENCY="5", MAX_ATTEMPTS="3") as started:
            alive.append(started.process)
            until(lambda: world.held() == [] or started.process.poll() is not None, seconds=30)
    assert (killed[0], len(killed)) == (5, 3)
    assert [key for key, _ in world.results()] == ["a.txt", "b.txt", "c.txt", "d.txt"]
    (letter,) = world.dead()
    assert (letter["event"], letter["reason"]) == (events["poison"], CUT_OFF)


def test_a_process_whose_thread_ends_does_not_stay_without_it(world, tmp_path):
    world.put("a.txt")
    broken = "from concurrent.futures import ThreadPoolExecutor as P; P.submit = None; "
    code = f"{broken}from handlers.functions.azure import runs; runs.until_told('handlers.functions.azure.events')"
    told = {"PATH": os.environ["PATH"], "CONTAINER_APP_NAME": "mine", **world.variables(DRAIN_S="0.1"), **world.azure.variables}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=told, timeout=60, capture_output=True, text=True, check=False)
    assert (ended.returncode, json.loads(ended.stdout.splitlines()[-1])["event"]) == (1, "consumer_fault")


def test_a_process_that_is_told_to_leave_finishes_what_it_has_and_gives_back_the_rest(world, endpoint, tmp_path):
    endpoint.delay_s = 1.5
    with process(world, endpoint, tmp_path, CONCURRENCY="2") as leaving:
        for number in range(3):
            world.put(f"{number}.txt")
        until(lambda: len(endpoint.seen) == 2)
        assert ended(leaving) == 0
    assert (len(world.results()), len(world.held())) == (2, 1)
    endpoint.delay_s = 10
    with process(world, endpoint, tmp_path, DRAIN_S="0.5") as cut:
        until(lambda: len(endpoint.seen) == 3)
        began = time.monotonic()
        assert ended(cut) == 0
        assert time.monotonic() - began < 6
    (given_back,) = world.account.queues.queues["events"]
    assert given_back.seen_at <= time.time()
    assert world.held()[0]["pilotlight"]["spared"] == 1


@only_all
def test_an_idle_process_costs_next_to_nothing(world, endpoint, tmp_path):
    """Container Apps asks less for a replica below 0.01 of a core and 1,000 bytes a second."""
    with process(world, endpoint, tmp_path) as started:
        until(lambda: len(world.front.seen) >= 5)
        time.sleep(2)
        before, since = cpu_s(started.process.pid), time.monotonic()
        polls = len(world.front.seen)
        time.sleep(8)
        share = (cpu_s(started.process.pid) - before) / (time.monotonic() - since)
        assert len(world.front.seen) - polls <= 5
        assert ended(started) == 0
    assert share < 0.01


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as told:
        fields = told.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_a_late_answer_is_worked_on_by_a_worker(azure, endpoint, server, tmp_path):
    cloud = Cloud(azure)
    function = cloud.function(Model())
    answer = json.loads(asked(function, {"inputs": "cold start"}, prefer="respond-async").body)
    with process(cloud, endpoint, tmp_path, "worker") as started:
        until(lambda: cloud.messages() == [])
        assert ended(started) == 0
    found = asked(function, method="GET", path=answer["result"])
    assert (found.status, json.loads(found.body)) == (200, server.predict({"inputs": "cold start"}).json())
    (line,) = lines(started, "metrics")[-1:]
    assert (line["AnswersDone"], line["AnswersFailed"], line["Service"]) == (1, 0, "mine")


@pytest.mark.parametrize("role", ["events", "worker", "warmer", "forgetter", "floor"])
def test_bad_variables_end_it(tmp_path, role):
    status, log = exit_of(tmp_path, ("handlers.functions.azure", role))
    assert (status, json.loads(log)["event"]) == (1, "settings_refused")
