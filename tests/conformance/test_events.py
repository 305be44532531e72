"""What becomes of objects, two event stacks of two platforms side by side in one account: rows, messages, dead letters."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin.faults import KILL_WITHIN_S
from tests.conformance.observed import Observed, observed_of
from tests.conformance.pipeline import AwsPipeline, Identity
from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import EventsUse
from tests.support.deployment import Deployment
from tests.support.vectors import TEXTS, assert_embeds

READY = [ready for ready in STACKS if ready.pattern == "events"]
PREFIX = "in/"
# Larger than any request to a model may be, so that the object itself is handed on by its address.
LARGE_BYTES, MOST_BYTES = 4_500_000, 5_000_000
ATTEMPTS = 3
EVENTS = {
    "prefix": PREFIX,
    "minObjectBytes": 2,
    "maxObjectBytes": MOST_BYTES,
    "batchWindowSeconds": 1,
    "maxAttempts": ATTEMPTS,
    "results": ["table", "queue"],
}
# A text of 4.5 MB takes the tokenizer two seconds of its own, and several on a machine that is busy with other tests.
PREDICT_S = 30
# The longest pauses between the attempts, and what a mapping needs beside them to gather a batch and hand it over.
PAUSES_S, SPARE_S = (10, 40), 30
ENGLISH = TEXTS["english"]["text"].encode()
TYPES = {"txt": "text/plain", "json": "application/json", "jsonl": "application/x-ndjson", "png": "image/png"}
NAMES = ("english", "chinese", "emoji", "one token", "special tokens")
# With it the first draw of a kill falls on the first milliseconds.
SEED = 309
POISON = b'{"inputs": '
# How what runs the model is stopped: the endpoint's service is out, or the function that it is dies in the middle of a batch.
STOPS: dict[str, dict[str, Any]] = {
    "aws-sagemaker": {"outages": ["sagemaker"]},
    "aws-lambda": {"executions": {"lambda": {"kill": 1}, "times": 1, "seed": SEED}},
}


@dataclass(frozen=True, kw_only=True)
class Up:
    """One of the stacks, up beside the others."""

    deployment: Deployment
    ready: ReadyStack
    outputs: dict[str, Any]
    pipeline: AwsPipeline
    observed: Observed

    def at_once(self, objects: dict[str, bytes]) -> dict[str, Identity]:
        """Upload objects while the twin's clock stands still, so that a batch is gathered until it is full or time goes on."""
        self.deployment.twin("clock", {"speed": 0})
        try:
            return {key: self.pipeline.put(PREFIX + key, body, TYPES[key.rpartition(".")[2]]) for key, body in objects.items()}
        finally:
            self.deployment.twin("clock", {"speed": 1})

    def told(self, identity: Identity, attempt: int = 1) -> dict[str, Any]:
        """The function's line about an attempt on a version."""
        return self.observed.line(event="object", version=identity[1], attempt=attempt)

    def tried_again(self) -> None:
        """What failed is seen again, and whatever is due until then happens."""
        self.deployment.twin("clock", {"advance_s": self.pipeline.unseen_s + 30})

    def given_up(self) -> None:
        """What failed so far is tried until it is a dead letter."""
        for _ in range(ATTEMPTS):
            self.tried_again()

    def emptied(self) -> None:
        self.observed.wait(lambda: self.pipeline.waiting() == 0, "an empty queue")


@pytest.fixture(scope="module")
def both(deployment: Deployment) -> Iterator[dict[str, Up]]:
    """All event stacks, brought up at the same time."""
    for ready in READY:
        deployment.configure(ready.name, {"endpoint": {"predictSeconds": PREDICT_S}, "events": EVENTS})
    with ThreadPoolExecutor(len(READY)) as pool:
        reports = list(pool.map(deployment.up, [ready.name for ready in READY]))
    assert [report["result"] for report in reports] == ["succeeded"] * len(READY)
    made = {}
    for ready in READY:
        outputs = deployment.outputs(ready.name)
        pipeline, observed = AwsPipeline(deployment, outputs), observed_of(deployment, outputs)
        made[ready.name] = Up(deployment=deployment, ready=ready, outputs=outputs, pipeline=pipeline, observed=observed)
    yield made
    for ready in READY:
        deployment.run("destroy", ready.name, code=None)  # one of them is gone already


@pytest.fixture(params=[ready.name for ready in READY])
def up(request: pytest.FixtureRequest, both: dict[str, Up]) -> Iterator[Up]:
    """Every test begins without faults."""
    yield both[request.param]
    both[request.param].deployment.twin("faults", {})


def assert_answered(up: Up, identity: Identity, name: str = "english") -> dict[str, Any]:
    """The version has a row with the answer that transformers gives for that text."""
    row = up.pipeline.row(identity)
    assert row is not None, f"{identity} has no row\n{up.deployment.run('logs', up.ready.name, '--tail', '50').stdout}"
    assert_embeds(name, up.pipeline.answer(row))
    return row


def test_one_poison_object_in_a_batch_of_ten_is_the_only_dead_letter(up: Up) -> None:
    good = {f"{number} {NAMES[number % len(NAMES)]}.txt": NAMES[number % len(NAMES)] for number in range(9)}
    objects = {key: TEXTS[name]["text"].encode() for key, name in good.items()}
    uploaded = up.at_once({**dict(list(objects.items())[:5]), "poison.json": POISON, **objects})
    poison = uploaded.pop("poison.json")
    for key, identity in uploaded.items():
        assert_answered(up, identity, good[key])
    refused, told = up.told(poison), [up.told(identity) for identity in uploaded.values()]
    assert {line["batch"] for line in told} == {refused["batch"]}, "all ten were one batch"
    assert (refused["outcome"], refused["permanent"], refused["level"]) == ("refused", True, "ERROR")
    assert sum(PAUSES_S) + ATTEMPTS * SPARE_S < up.pipeline.unseen_s
    for attempt, pause_s in enumerate(PAUSES_S, 2):
        up.deployment.twin("clock", {"advance_s": pause_s + SPARE_S})
        assert up.told(poison, attempt=attempt)["outcome"] == "refused"
    # Seen again at once after the last one, by a mapping that finds it among the dead letters.
    up.deployment.twin("clock", {"advance_s": SPARE_S})
    up.emptied()
    assert up.pipeline.dead() == [poison]
    assert up.pipeline.look(poison) is None
    attempts = [line["version"] for line in up.observed.lines() if line.get("event") == "object"]
    assert sorted(attempts) == sorted([poison[1]] * ATTEMPTS + [version for _, version in uploaded.values()])
    messages = {(message["object"], message["version"]): message for message in up.pipeline.messages()}
    assert messages.keys() == set(uploaded.values())
    for key, identity in uploaded.items():
        assert_embeds(good[key], up.pipeline.answer(messages[identity]))


def test_objects_that_the_filters_pass_over_start_nothing(up: Up) -> None:
    before = len(up.observed.lines())
    outside = [up.pipeline.put("out/a.txt", ENGLISH), up.pipeline.put(f"{PREFIX}a.png", ENGLISH, TYPES["png"])]
    small = up.pipeline.put(f"{PREFIX}small.txt", b"a")
    assert_answered(up, up.pipeline.put(f"{PREFIX}taken.txt", ENGLISH))
    assert up.told(small)["outcome"] == "passed-over"
    up.emptied()
    versions = {line.get("version") for line in up.observed.lines()[before:]}
    assert not versions & {version for _, version in outside}
    assert [up.pipeline.look(identity) for identity in [*outside, small]] == [None] * 3
    assert not {*outside, small} & set(up.pipeline.dead())


def test_a_too_large_object_is_refused_with_the_reason_and_a_large_text_goes_by_reference(up: Up, tmp_path: Path) -> None:
    large, too_large = tmp_path / "large.txt", tmp_path / "too-large.txt"
    # One endless word, of which the model sees one token.
    large.write_bytes(ENGLISH.ljust(LARGE_BYTES, b"a"))
    too_large.write_bytes(b"a" * (MOST_BYTES + 1))
    printed = up.deployment.run("upload", up.ready.name, str(large), str(too_large), "--wait", "--json", code=4).stdout
    answered, refused = json.loads(printed)["objects"]
    assert answered["state"] == "done", printed[:2000]
    assert len(answered["result"]["outputs"]) == len(TEXTS["english"]["sentence"])
    assert refused["state"] == "refused"
    assert f"{MOST_BYTES + 1} bytes: {MOST_BYTES} are allowed" in refused["reason"]
    up.given_up()
    assert refused["version"] in dict(up.pipeline.dead()).values()


def test_a_large_result_lies_beside_the_row_and_the_message(up: Up) -> None:
    lines = [json.dumps(TEXTS[NAMES[number % len(NAMES)]]["text"]) for number in range(60)]
    identity = up.pipeline.put(f"{PREFIX}many.jsonl", "\n".join(lines).encode(), TYPES["jsonl"])
    row = up.pipeline.row(identity)
    assert row is not None
    assert "result" not in row
    answers = up.pipeline.answer(row)
    assert len(answers) == len(lines)
    for number, answer in enumerate(answers):
        assert_embeds(NAMES[number % len(NAMES)], answer)
    up.emptied()
    [message] = [message for message in up.pipeline.messages() if message["version"] == identity[1]]
    assert message["resultUri"] == row["resultUri"]


def outcomes(up: Up, versions: set[str]) -> set[str]:
    """What became of the attempts at these versions."""
    return {line["outcome"] for line in up.observed.lines() if line.get("version") in versions}


def test_events_that_come_twice_make_one_row_each(up: Up) -> None:
    up.deployment.twin("faults", {"events": {"duplicates": 1, "delay_s": 6, "seed": 3}})
    uploaded = [up.pipeline.put(f"{PREFIX}twice-{number}.txt", ENGLISH) for number in range(6)]
    up.deployment.twin("clock", {"advance_s": 10})
    for identity in uploaded:
        assert assert_answered(up, identity)["published"] is True
    up.emptied()
    versions = {version for _, version in uploaded}
    up.observed.wait(lambda: "known" in outcomes(up, versions), "a second event that was worked on after the first")
    assert outcomes(up, versions) == {"recorded", "known"}
    rows = [row["version"] for row in up.pipeline.rows() if row["version"] in versions]
    assert sorted(rows) == sorted(versions)
    assert {message["version"] for message in up.pipeline.messages()} >= versions


def tried(up: Up, uploaded: list[Identity]) -> bool:
    """Whether the first attempt at these has ended, badly."""
    if up.ready.facts.separate_function:
        failed = {line["version"] for line in up.observed.lines() if line.get("outcome") == "failed"}
        return failed >= {version for _, version in uploaded}
    if up.deployment.twin("faults")["executions"]["times"]:
        return False
    time.sleep(2 * KILL_WITHIN_S)
    return True


def test_what_was_uploaded_while_the_model_is_stopped_is_answered_afterwards(up: Up) -> None:
    up.deployment.twin("faults", STOPS[up.ready.service["endpoint"]["platform"]])
    uploaded = list(up.at_once({f"stopped-{number}.txt": ENGLISH for number in range(3)}).values())
    up.observed.wait(lambda: tried(up, uploaded), "the first attempt")
    assert [up.pipeline.look(identity) for identity in uploaded] == [None] * len(uploaded)
    up.deployment.twin("faults", {})
    up.tried_again()
    for identity in uploaded:
        assert_answered(up, identity)
    assert not set(uploaded) & set(up.pipeline.dead())


def test_one_stack_works_on_while_the_other_is_destroyed(both: dict[str, Up]) -> None:
    going, staying = (both[ready.name] for ready in READY)
    with EventsUse(staying.deployment, staying.outputs, PREFIX).steadily(staying.ready.steady) as done:
        assert going.deployment.report("destroy", going.ready.name)["result"] == "succeeded"
    assert done.failed == []
    assert done.right >= 5
    changes = staying.deployment.report("preview", staying.ready.name, "--local")["changes"]
    assert {operation for operation, count in changes.items() if count} <= {"same", "unchanged"}
