"""What becomes of objects on AWS, two event stacks of two platforms side by side in one account: rows, messages, dead letters."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from pilotlight.twin.faults import KILL_WITHIN_S
from tests.conformance.event_promises import EventPromises
from tests.conformance.evented import (
    ATTEMPTS,
    NAMES,
    POISON,
    Evented,
    brought_up,
    event_stacks,
)
from tests.conformance.pipeline import AwsPipeline, Identity
from tests.conformance.use import assert_one_works_on_while_the_other_goes
from tests.support.deployment import Deployment
from tests.support.vectors import TEXTS, assert_embeds

READY = event_stacks("aws")
# The longest pauses between the attempts, and what a mapping needs beside them to gather a batch and hand it over.
PAUSES_S, SPARE_S = (10, 40), 30
# With it the first draw of a kill falls on the first milliseconds.
SEED = 309
# How what runs the model is stopped: the endpoint's service is out, or the function that it is dies in the middle of a batch.
STOPS: dict[str, dict[str, Any]] = {
    "aws-sagemaker": {"outages": ["sagemaker"]},
    "aws-lambda": {"executions": {"lambda": {"kill": 1}, "times": 1, "seed": SEED}},
}


class AwsEvented(Evented):
    """Batches from a queue."""

    pipeline: AwsPipeline
    # It is tried as often as any before it is a dead letter.
    refused = "refused"

    def together(self, objects: Mapping[str, bytes]) -> dict[str, Identity]:
        """While the twin's clock stands still a batch is gathered until it is full or time goes on."""
        self.deployment.twin("clock", {"speed": 0})
        try:
            return super().together(objects)
        finally:
            self.deployment.twin("clock", {"speed": 1})

    def stop(self) -> None:
        self.faulty(**STOPS[self.ready.service["endpoint"]["platform"]])

    def tried(self, uploaded: Sequence[Identity]) -> bool:
        if self.ready.facts.separate_function:
            versions = {version for _, version in uploaded}
            return {line["version"] for line in self.attempts(versions) if line["outcome"] == "failed"} == versions
        if self.deployment.twin("faults")["executions"]["times"]:
            return False
        time.sleep(2 * KILL_WITHIN_S)
        return True

    def tried_again(self) -> None:
        self.goes_on(self.pipeline.unseen_s + 30)

    def emptied(self) -> None:
        self.observed.wait(lambda: self.pipeline.waiting() == 0, "an empty queue")


@pytest.fixture(scope="module")
def both(deployment: Deployment) -> Iterator[dict[str, Evented]]:
    yield from brought_up(deployment, READY, {"batchWindowSeconds": 1}, AwsEvented)


@pytest.fixture(params=[ready.name for ready in READY])
def up(request: pytest.FixtureRequest, both: dict[str, AwsEvented]) -> Iterator[AwsEvented]:
    """Every test begins without faults."""
    yield both[request.param]
    both[request.param].faulty()


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
    assert sum(PAUSES_S) + ATTEMPTS * SPARE_S < up.pipeline.unseen_s
    for attempt, pause_s in enumerate(PAUSES_S, 2):
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


class TestOnAws(EventPromises):
    """What holds on every cloud."""


def test_one_stack_works_on_while_the_other_is_destroyed(both: dict[str, Evented]) -> None:
    assert_one_works_on_while_the_other_goes(*(both[ready.name] for ready in READY))
