"""What becomes of objects: rows, messages, dead letters and their replay, whatever is out or dies meanwhile.

The event stacks of a cloud are up side by side in one account: both of AWS, the first of another cloud, all with PILOTLIGHT_ALL=1. What
becomes of objects is tried on the first by default.
"""

import json
from collections.abc import Iterator

import psutil
import pytest

from components.limits import PUBSUB_ACK_S
from tests.conformance.event_promises import EventPromises
from tests.conformance.evented import (
    ATTEMPTS,
    EVENTED,
    NAMES,
    POISON,
    AwsEvented,
    AzureEvented,
    Evented,
    GoogleEvented,
    OneByOne,
    brought_up,
    event_stacks,
)
from tests.conformance.stacks import STACKS
from tests.conformance.use import assert_all_work_on, assert_one_works_on_while_the_other_goes
from tests.support.deployment import Deployment, interrupt
from tests.support.size import ALL, only_all
from tests.support.vectors import TEXTS, assert_embeds

# On AWS, the longest pauses between the attempts, and what a mapping needs beside them to gather a batch and hand it over.
BATCH_PAUSES_S, SPARE_S = (10, 40), 30
# On Google Cloud, what the storm of every run stops as well (tests/storm).
STOPPED_IN_STORMS = ("pubsub", "firestore")
# On Azure, objects whose function dies while the endpoint has them for so long, and beyond the time that their messages stay unseen.
KILLED, HELD_S, UNSEEN_S = 3, 30, 600


@pytest.fixture(scope="module")
def together(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[list[Evented]]:
    """The stacks of a cloud that are tried."""
    ready = event_stacks(request.param)
    yield from brought_up(deployment, request.param, ready if ALL or request.param == "aws" else ready[:1])


@pytest.fixture(params=range(max(len(event_stacks(cloud)) for cloud in EVENTED)))
def up(request: pytest.FixtureRequest, together: list[Evented]) -> Iterator[Evented]:
    """One of them. Every test begins without faults."""
    if request.param >= len(together) or (request.param and not ALL):
        pytest.skip("PILOTLIGHT_ALL=1 tries every stack of a cloud")
    yield together[request.param]
    together[request.param].faulty()


def on(*clouds: str) -> pytest.MarkDecorator:
    """The stacks of every cloud, of these alone for what only they have."""
    other = pytest.mark.skip(reason=f"only {' and '.join(clouds)}")
    runs = [pytest.param(cloud, marks=[] if cloud in (clouds or EVENTED) else [other]) for cloud in EVENTED]
    return pytest.mark.parametrize("together", runs, indirect=True, scope="module")


def test_every_cloud_with_event_stacks_is_held_to_them() -> None:
    assert {ready.cloud for ready in STACKS if ready.pattern == "events"} == set(EVENTED)


@on("aws")
def test_one_poison_object_in_a_batch_of_ten_is_the_only_dead_letter(up: AwsEvented) -> None:
    good = {f"{number} {NAMES[number % len(NAMES)]}.txt": NAMES[number % len(NAMES)] for number in range(9)}
    objects = {key: TEXTS[name]["text"].encode() for key, name in good.items()}
    uploaded = up.together({**dict(list(objects.items())[:5]), "poison.json": POISON, **objects})
    poison = uploaded.pop("poison.json")
    for key, identity in uploaded.items():
        up.answered(identity, good[key])
    refused, told = up.told(poison), [up.told(identity) for identity in uploaded.values()]
    assert {line["batch"] for line in told} == {refused["batch"]}, "all ten were one batch"
    assert (refused["outcome"], refused["permanent"], refused["level"]) == ("refused", True, "ERROR")
    assert sum(BATCH_PAUSES_S) + ATTEMPTS * SPARE_S < up.pipeline.unseen_s
    for attempt, pause_s in enumerate(BATCH_PAUSES_S, 2):
        up.goes_on(pause_s + SPARE_S)
        assert up.told(poison, attempt=attempt)["outcome"] == "refused"
    # Seen again at once after the last one, by a mapping that finds it among the dead letters.
    up.goes_on(SPARE_S)
    up.emptied()
    assert up.pipeline.dead() == [poison]
    assert up.pipeline.look(poison) is None
    attempts = [line["version"] for line in up.observed.lines() if line.get("event") == "object"]
    assert sorted(attempts) == sorted([poison[1]] * ATTEMPTS + [version for _, version in uploaded.values()])
    sent = up.pipeline.messages()
    messages = {(message["object"], message["version"]): message for message in sent}
    assert messages.keys() == set(uploaded.values())
    assert len(sent) == len(messages), "each was delivered once"
    for key, identity in uploaded.items():
        assert_embeds(good[key], up.pipeline.answer(messages[identity]))


@on("azure", "gcp")
def test_dead_letters_are_looked_at_and_replayed_and_an_interrupt_loses_none(up: OneByOne) -> None:
    """The first one: other tests leave letters that no replay helps."""
    up.stop()
    dead = [up.put(f"dead-{number}.txt") for number in range(4)]
    up.observed.wait(lambda: up.tried(dead), "the first attempt")
    up.given_up()
    assert set(dead) <= set(up.pipeline.dead())
    before = up.pipeline.dead()
    looked = json.loads(up.deployment.run("replay", up.ready.name, "--dry-run", "--json").stdout)
    assert (looked["status"], looked["deadLetters"], looked["moved"]) == ("dry run", len(before), 0)
    assert all(letter["reason"] for letter in looked["letters"])
    assert sorted(up.pipeline.dead()) == sorted(before)
    up.faulty()
    moving = up.deployment.start("replay", up.ready.name, "--max", "1")
    assert moving.stdout is not None
    while "1 sent again" not in moving.stdout.readline():
        assert moving.poll() is None
    interrupt(moving)
    moving.communicate(timeout=30)
    up.emptied()
    left = up.pipeline.dead()
    assert 0 < len(left) < len(before)
    assert all(identity in left or up.pipeline.look(identity) for identity in dead)
    replayed = up.replayed()
    assert (replayed["status"], replayed["moved"]) == ("COMPLETED", len(left))
    for identity in dead:
        up.answered(identity)
    up.emptied()
    assert not set(dead) & set(up.pipeline.dead())


@on()
class TestEverywhere(EventPromises):
    """What holds on every cloud."""


@on("azure", "gcp")
def test_a_poison_object_among_ten_is_a_dead_letter_at_once_with_its_reason(up: OneByOne) -> None:
    good = {f"{number} {NAMES[number % len(NAMES)]}.txt": NAMES[number % len(NAMES)] for number in range(9)}
    poison = up.put("poison.json", POISON)
    uploaded = up.together({name: TEXTS[text]["text"].encode() for name, text in good.items()})
    for name, identity in uploaded.items():
        up.answered(identity, good[name])
    refused = up.told(poison)
    assert (refused["outcome"], refused["permanent"], refused["level"]) == ("refused", True, "ERROR")
    up.emptied()
    letter = up.pipeline.letters()[poison]
    assert (letter["permanent"], letter["attempts"], letter["reason"]) == ("true", "1", refused["reason"])
    if isinstance(up, GoogleEvented):
        assert letter["ce-type"] == "google.cloud.storage.object.v1.finalized"
    assert len(up.attempts([poison[1]])) == 1
    messages = {(message["object"], message["version"]): message for message in up.pipeline.messages()}
    for name, identity in uploaded.items():
        assert_embeds(good[name], up.pipeline.answer(messages[identity]))


@on("azure", "gcp")
def test_an_object_that_fails_is_a_dead_letter_after_its_last_attempt(up: OneByOne) -> None:
    up.stop()
    identity = up.put("failing.txt")
    for attempt, pause_s in enumerate(up.pauses_s[: ATTEMPTS - 1], 1):
        assert up.told(identity, attempt=attempt)["outcome"] == "failed"
        assert identity not in up.pipeline.dead()
        up.goes_on(pause_s)
    assert up.told(identity, attempt=ATTEMPTS)["outcome"] == "failed"
    up.observed.wait(lambda: identity in up.pipeline.dead(), "a dead letter")
    up.goes_on(up.pauses_s[ATTEMPTS - 1])
    letter = up.pipeline.letters()[identity]
    assert (letter["permanent"], letter["attempts"]) == ("false", str(ATTEMPTS))
    assert letter["reason"]
    assert len(up.attempts([identity[1]])) == ATTEMPTS


@on("gcp")
@only_all
def test_a_last_attempt_that_outlives_its_push_is_one_dead_letter(up: GoogleEvented) -> None:
    """Its event comes again, since nobody hears that it was delivered."""
    up.stop()
    identity = up.put("outlived.txt")
    for attempt, pause_s in enumerate(up.pauses_s[: ATTEMPTS - 1], 1):
        assert up.told(identity, attempt=attempt)["outcome"] == "failed"
        if attempt == ATTEMPTS - 1:
            up.faulty(executions={up.endpoint: {"timeout": 1}, "hold_s": PUBSUB_ACK_S.low + 3})
        up.goes_on(pause_s)
    assert up.told(identity, attempt=ATTEMPTS)["outcome"] == "failed"
    up.observed.wait(lambda: identity in up.pipeline.dead(), "a dead letter")
    up.faulty()

    def outcomes() -> list[str]:
        return [line["outcome"] for line in up.attempts([identity[1]])]

    up.goes_on(up.pauses_s[ATTEMPTS - 1])
    up.observed.wait(lambda: len(outcomes()) > ATTEMPTS, "the event's return")
    assert outcomes() == ["failed"] * ATTEMPTS + ["passed-over"]
    up.emptied()
    assert up.pipeline.dead().count(identity) == 1
    assert up.pipeline.look(identity) is None


@on("gcp")
@pytest.mark.parametrize("service", ["run", "storage", "eventarc", *(pytest.param(name, marks=only_all) for name in STOPPED_IN_STORMS)])
def test_an_outage_on_google_cloud_ends_in_a_result_and_in_no_dead_letter(up: GoogleEvented, service: str) -> None:
    assert_an_outage_ends_well(up, service, sum(up.pauses_s[: ATTEMPTS - 1]))


@on("azure")
@pytest.mark.parametrize("service", ["queue", *(pytest.param(name, marks=only_all) for name in ("app", "blob", "eventgrid", "table"))])
def test_an_outage_on_azure_ends_in_a_result_and_in_no_dead_letter(up: AzureEvented, service: str) -> None:
    assert_an_outage_ends_well(up, service, sum(up.pauses_s[: ATTEMPTS - 1]))


def assert_an_outage_ends_well(up: OneByOne, service: str, seconds: float) -> None:
    """The event arrives in the outage, which begins after the upload and lasts so long."""
    up.faulty(events={"delay_s": 5})
    identity = up.put(f"out-{service}.txt")
    up.faulty(outages=[service])
    up.goes_on(seconds)
    up.faulty()
    assert up.pipeline.look(identity) is None
    up.tried_again()
    up.answered(identity)
    up.emptied()
    assert identity not in up.pipeline.dead()


@on("gcp")
def test_a_function_that_is_killed_at_any_moment_leaves_one_result_of_each_object(up: GoogleEvented) -> None:
    up.answered(up.put("warm.txt"))
    killed = 12 if ALL else 4
    up.faulty(executions={up.function: {"kill": 1}, "times": killed, "seed": 5})
    uploaded = [up.put(f"killed-{number}.txt") for number in range(killed)]
    up.observed.wait(lambda: not up.deployment.twin("faults")["executions"]["times"], "every kill")
    for _ in range(ATTEMPTS):
        up.goes_on(0)
        up.pipeline.attempts_over()
        up.tried_again()
    for identity in uploaded:
        up.answered(identity)
    up.emptied()
    assert not set(uploaded) & set(up.pipeline.dead())
    versions = {version for _, version in uploaded}
    rows = [row["version"] for row in up.pipeline.rows() if row["version"] in versions]
    assert sorted(rows) == sorted(versions)
    # One attempt at a time, so that only one which died between sending a message and saying so sends it again.
    assert sum(up.messages(versions).values()) <= len(versions) + killed


@on("azure")
def test_a_function_that_is_killed_while_it_works_leaves_one_result_of_each_object(up: AzureEvented) -> None:
    """Nobody calls this function, so that a fault can't meet a call of it: its processes are ended instead."""
    up.answered(up.put("warm.txt"))
    # What is under way is still there when the process ends.
    up.faulty(executions={up.endpoint: {"timeout": 1}, "hold_s": HELD_S, "times": KILLED})
    uploaded = [up.put(f"killed-{number}.txt") for number in range(KILLED)]
    up.observed.wait(lambda: not up.deployment.twin("faults")["executions"]["times"], "every call under way")
    running = up.observed.processes(up.outputs["functionName"])
    assert running
    for pid in running:
        psutil.Process(pid).kill()
    up.faulty()
    up.goes_on(UNSEEN_S)
    for identity in uploaded:
        up.answered(identity)
    up.emptied()
    assert not set(uploaded) & set(up.pipeline.dead())
    versions = {version for _, version in uploaded}
    assert {line["outcome"] for line in up.attempts(versions)} == {"recorded"}
    assert sorted(row["version"] for row in up.pipeline.rows() if row["version"] in versions) == sorted(versions)
    assert up.messages(versions) == dict.fromkeys(versions, 1)


@on()
@only_all
def test_a_warming_plan_that_comes_and_goes_loses_no_object(up: Evented) -> None:
    for rules, floor in (([{"kind": "provisioned"}], 1), (None, None)):
        up.deployment.configure(up.ready.name, {"warming": rules})
        assert_all_work_on([up], lambda: up.deployment.up(up.ready.name)["result"])
        assert up.deployment.outputs(up.ready.name).get("floor") == floor


@on(*EVENTED)
@only_all
def test_one_stack_works_on_while_the_other_is_destroyed(together: list[Evented]) -> None:
    if len(together) < 2:
        pytest.skip("PILOTLIGHT_ALL=1 tries every stack of a cloud")
    assert_one_works_on_while_the_other_goes(*together[:2])
