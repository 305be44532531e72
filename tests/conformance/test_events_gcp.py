"""What becomes of objects on Google Cloud: documents, messages, dead letters and their replay, whatever is out or dies meanwhile."""

import json
from collections.abc import Iterator, Sequence

import pytest

from components.limits import PUBSUB_ACK_S
from tests.conformance.event_promises import EventPromises
from tests.conformance.evented import (
    ATTEMPTS,
    NAMES,
    POISON,
    PREFIX,
    Evented,
    brought_up,
    event_stacks,
)
from tests.conformance.pipeline import Identity
from tests.conformance.pipeline_gcp import GooglePipeline
from tests.conformance.use import assert_one_works_on_while_the_other_goes
from tests.support.deployment import Deployment, interrupt
from tests.support.size import ALL, only_all
from tests.support.vectors import TEXTS, assert_embeds

READY = event_stacks("gcp")
# One in every run, both (side by side, as on AWS) in the large one.
TRIED = READY if ALL else READY[:1]
# Eventarc tries again after 10, 20, 40 s.
PAUSES_S = (10, 20, 40)


class GoogleEvented(Evented):
    """Events one by one, pushed."""

    pipeline: GooglePipeline
    # It is a dead letter at once.
    refused = "dead"

    @property
    def function(self) -> str:
        """What executions of the function are named in faults."""
        return f"run:{self.outputs['functionName']}"

    @property
    def endpoint(self) -> str:
        return f"run:{self.outputs['endpointName']}"

    def stop(self) -> None:
        self.faulty(executions={self.endpoint: {"error": 1}})

    def tried(self, uploaded: Sequence[Identity]) -> bool:
        versions = {version for _, version in uploaded}
        return {line["version"] for line in self.attempts(versions) if line["outcome"] == "failed"} == versions

    def tried_again(self) -> None:
        self.goes_on(PAUSES_S[ATTEMPTS - 1])

    def emptied(self) -> None:
        # A fast-forward ends when every push that was due has been answered.
        self.tried_again()
        self.observed.wait(lambda: self.pipeline.attempts_over() == 0, "no event under way")


@pytest.fixture(scope="module")
def both(deployment: Deployment) -> Iterator[dict[str, Evented]]:
    yield from brought_up(deployment, TRIED, {}, GoogleEvented)


@pytest.fixture(params=[ready.name for ready in TRIED])
def up(request: pytest.FixtureRequest, both: dict[str, GoogleEvented]) -> Iterator[GoogleEvented]:
    """Every test begins without faults."""
    yield both[request.param]
    both[request.param].faulty()


def test_dead_letters_are_looked_at_and_replayed_and_an_interrupt_loses_none(up: GoogleEvented) -> None:
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


class TestOnGoogleCloud(EventPromises):
    """What holds on every cloud."""


def test_a_poison_object_among_ten_is_a_dead_letter_at_once_with_its_reason(up: GoogleEvented) -> None:
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
    assert letter["ce-type"] == "google.cloud.storage.object.v1.finalized"
    assert len(up.attempts([poison[1]])) == 1
    messages = {(message["object"], message["version"]): message for message in up.pipeline.messages()}
    for name, identity in uploaded.items():
        assert_embeds(good[name], up.pipeline.answer(messages[identity]))


def test_an_object_that_fails_is_a_dead_letter_after_its_last_attempt(up: GoogleEvented) -> None:
    up.stop()
    identity = up.put("failing.txt")
    for attempt, pause_s in enumerate(PAUSES_S[:ATTEMPTS], 1):
        assert up.told(identity, attempt=attempt)["outcome"] == "failed"
        assert (identity in up.pipeline.dead()) is (attempt == ATTEMPTS)
        up.goes_on(pause_s)
    letter = up.pipeline.letters()[identity]
    assert (letter["permanent"], letter["attempts"]) == ("false", str(ATTEMPTS))
    assert letter["reason"]
    assert len(up.attempts([identity[1]])) == ATTEMPTS


def test_a_last_attempt_that_outlives_its_push_is_one_dead_letter(up: GoogleEvented) -> None:
    """Its event comes again, since nobody hears that it was delivered."""
    up.stop()
    identity = up.put("outlived.txt")
    for attempt, pause_s in enumerate(PAUSES_S[: ATTEMPTS - 1], 1):
        assert up.told(identity, attempt=attempt)["outcome"] == "failed"
        if attempt == ATTEMPTS - 1:
            up.faulty(executions={up.endpoint: {"timeout": 1}, "hold_s": PUBSUB_ACK_S.low + 3})
        up.goes_on(pause_s)
    assert up.told(identity, attempt=ATTEMPTS)["outcome"] == "failed"
    up.observed.wait(lambda: identity in up.pipeline.dead(), "a dead letter")
    up.faulty()

    def outcomes() -> list[str]:
        return [line["outcome"] for line in up.attempts([identity[1]])]

    up.goes_on(PAUSES_S[ATTEMPTS - 1])
    up.observed.wait(lambda: len(outcomes()) > ATTEMPTS, "the event's return")
    assert outcomes() == ["failed"] * ATTEMPTS + ["passed-over"]
    up.emptied()
    assert up.pipeline.dead().count(identity) == 1
    assert up.pipeline.look(identity) is None


def test_results_are_listed_by_object(up: GoogleEvented) -> None:
    older = up.put("listed.txt")
    up.answered(older)
    newer = up.put("listed.txt", TEXTS["chinese"]["text"].encode())
    up.answered(newer, "chinese")
    listed = json.loads(up.deployment.run("results", up.ready.name, f"{PREFIX}listed.txt", "--json").stdout)
    assert [row["version"] for row in listed] == [newer[1], older[1]]
    assert_embeds("chinese", listed[0]["result"]["outputs"])
    up.deployment.run("results", up.ready.name, f"{PREFIX}nothing.txt", code=3)


@pytest.mark.parametrize("service", ["run", "storage", "pubsub", "eventarc", "firestore"])
def test_an_outage_ends_in_a_result_and_in_no_dead_letter(up: GoogleEvented, service: str) -> None:
    # The event arrives in the outage, which begins after the upload.
    up.faulty(events={"delay_s": 5})
    identity = up.put(f"out-{service}.txt")
    up.faulty(outages=[service])
    # Whatever of Firestore's is tried in vain takes ten seconds of the machine's clock.
    up.goes_on(sum(PAUSES_S[: ATTEMPTS - 1]) if ALL or service != "firestore" else 5)
    up.faulty()
    assert up.pipeline.look(identity) is None
    up.tried_again()
    up.answered(identity)
    up.emptied()
    assert identity not in up.pipeline.dead()


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


@only_all
def test_one_stack_works_on_while_the_other_is_destroyed(both: dict[str, Evented]) -> None:
    assert_one_works_on_while_the_other_goes(*(both[ready.name] for ready in READY))
