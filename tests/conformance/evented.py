"""Event stacks that are up side by side in one account, as their tests see them. Each cloud has its own half."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from handlers.functions.azure.consuming import LONGEST_PAUSE_S
from pilotlight.twin.faults import KILL_WITHIN_S
from tests.conformance.observed import Observed, observed_of
from tests.conformance.pipeline import AwsPipeline, Identity, Pipeline, pipeline_of
from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import EventsUse
from tests.support.deployment import Deployment
from tests.support.vectors import TEXTS, assert_embeds

if TYPE_CHECKING:
    from tests.conformance.pipeline_azure import AzurePipeline
    from tests.conformance.pipeline_gcp import GooglePipeline

PREFIX = "in/"
# What a request to the model may have; more than that, so that the object itself is handed on by its address; and too much.
BODY_BYTES, LARGE_BYTES, MOST_BYTES = 1_000_000, 1_200_000, 1_300_000
ATTEMPTS = 3
EVENTS = {
    "prefix": PREFIX,
    "minObjectBytes": 2,
    "maxObjectBytes": MOST_BYTES,
    "maxAttempts": ATTEMPTS,
    "results": ["table", "queue"],
}
# A text of a megabyte takes the tokenizer half a second of its own, and many times that on a machine that is busy with other tests.
PREDICT_S = 30
# Until a queue that a function asks itself is empty.
EMPTIED_S = 60
ENGLISH = TEXTS["english"]["text"].encode()
TYPES = {"txt": "text/plain", "json": "application/json", "jsonl": "application/x-ndjson", "png": "image/png"}
NAMES = ("english", "chinese", "emoji", "one token", "special tokens")
POISON = b'{"inputs": '
# With it the first draw of a kill falls on the first milliseconds.
SEED = 309
# How what runs the model is stopped: the endpoint's service is out, or the function that it is dies in the middle of a batch.
STOPS: dict[str, dict[str, Any]] = {
    "aws-sagemaker": {"outages": ["sagemaker"]},
    "aws-lambda": {"executions": {"lambda": {"kill": 1}, "times": 1, "seed": SEED}},
}


@dataclass(frozen=True, kw_only=True)
class Evented(ABC):
    """One of the stacks, up beside the others."""

    deployment: Deployment
    ready: ReadyStack
    outputs: dict[str, Any]
    pipeline: Pipeline
    observed: Observed
    # What `pilotlight upload --wait` calls an object that is refused for good.
    refused: ClassVar[str]
    # Whether a version can be read after another one has taken its place. Where it can't, it is a dead letter that says so.
    keeps_versions: ClassVar[bool] = True

    @property
    def use(self) -> EventsUse:
        return EventsUse(self.deployment, self.outputs, PREFIX)

    @abstractmethod
    def stop(self) -> None:
        """From now on what runs the model answers nothing, or once not; until `faulty` ends that."""

    @abstractmethod
    def tried(self, uploaded: Sequence[Identity]) -> bool:
        """Whether the first attempt at these has ended, badly, since `stop`."""

    @abstractmethod
    def tried_again(self) -> None:
        """What failed comes again, and whatever is due until then happens."""

    @abstractmethod
    def emptied(self) -> None:
        """Returns when nothing waits or is under way."""

    def faulty(self, **faults: Any) -> None:
        """Only these faults from now on; none without any."""
        self.deployment.twin("faults", {})
        if faults:
            self.deployment.twin("faults", faults)

    def goes_on(self, seconds: float) -> None:
        """Whatever is due within that time happens."""
        self.deployment.twin("clock", {"advance_s": seconds})

    def put(self, name: str, body: bytes = ENGLISH) -> Identity:
        """Upload an object that the filters let through, of the type that its name tells."""
        return self.pipeline.put(PREFIX + name, body, TYPES[name.rpartition(".")[2]])

    def together(self, objects: Mapping[str, bytes]) -> dict[str, Identity]:
        """The same for several at once, in a batch where a cloud has any."""
        return {name: self.put(name, body) for name, body in objects.items()}

    def attempts(self, versions: Iterable[str]) -> list[dict[str, Any]]:
        """The function's lines about attempts at these versions."""
        wanted = set(versions)
        return [line for line in self.observed.lines() if line.get("event") == "object" and line["version"] in wanted]

    def told(self, identity: Identity, attempt: int = 1) -> dict[str, Any]:
        """The function's line about an attempt on a version."""
        return self.observed.line(event="object", version=identity[1], attempt=attempt)

    def given_up(self) -> None:
        """What failed so far is tried until it is a dead letter."""
        for _ in range(ATTEMPTS):
            self.tried_again()

    def messages(self, versions: Iterable[str]) -> dict[str, int]:
        """How many messages there are about each of these versions, once nothing is under way; fails the test where one has none, or two
        that are not the same."""
        found: dict[str, list[dict[str, Any]]] = {version: [] for version in versions}
        for message in self.pipeline.messages():
            found.get(message["version"], []).append(message)
        assert all(found.values()), f"not sent: {[version for version, sent in found.items() if not sent]}"
        assert all(message == sent[0] for sent in found.values() for message in sent), found
        return {version: len(sent) for version, sent in found.items()}

    def answered(self, identity: Identity, name: str = "english") -> dict[str, Any]:
        """The version's row, with the answer that transformers gives for that text; fails the test when there is none."""
        row = self.pipeline.row(identity)
        assert row is not None, f"{identity} has no row\n{self.deployment.run('logs', self.ready.name, '--tail', '50').stdout}"
        assert_embeds(name, self.pipeline.answer(row))
        return row

    def replayed(self) -> dict[str, Any]:
        """What `pilotlight replay` tells."""
        found: dict[str, Any] = json.loads(self.deployment.run("replay", self.ready.name, "--json").stdout)
        return found


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


class OneByOne(Evented):
    """Events one by one; an object that is refused is a dead letter at once."""

    pipeline: "AzurePipeline | GooglePipeline"
    refused = "dead"
    # What services that run containers are named in faults before their own names.
    kind: ClassVar[str]
    # The longest pauses after each attempt.
    pauses_s: ClassVar[Sequence[int]]

    @property
    def function(self) -> str:
        """What executions of the function are named in faults."""
        return f"{self.kind}:{self.outputs['functionName']}"

    @property
    def endpoint(self) -> str:
        return f"{self.kind}:{self.outputs['endpointName']}"

    def stop(self) -> None:
        self.faulty(executions={self.endpoint: {"error": 1}})

    def tried(self, uploaded: Sequence[Identity]) -> bool:
        versions = {version for _, version in uploaded}
        return {line["version"] for line in self.attempts(versions) if line["outcome"] == "failed"} == versions

    def tried_again(self) -> None:
        self.goes_on(self.pauses_s[ATTEMPTS - 1])


class GoogleEvented(OneByOne):
    """They are pushed: a fast-forward ends when every push that was due has been answered."""

    pipeline: "GooglePipeline"
    kind = "run"
    # Eventarc.
    pauses_s = (10, 20, 40)

    def emptied(self) -> None:
        self.tried_again()
        self.observed.wait(lambda: self.pipeline.attempts_over() == 0, "no event under way")


class AzureEvented(OneByOne):
    """They are taken from a queue, by a function that asks it in the machine's own time."""

    pipeline: "AzurePipeline"
    kind = "app"
    keeps_versions = False
    # Of the function (handlers/functions/attempts.py), and beyond Event Grid's first ones (10, 30 s).
    pauses_s = (10, 40, 160)

    def given_up(self) -> None:
        self.emptied()

    def emptied(self) -> None:
        """Whatever was put off is seen again, and taken within some seconds; time goes on only where nothing ends by itself."""
        deadline = time.monotonic() + EMPTIED_S
        while not self._empty_within(LONGEST_PAUSE_S + 1):
            assert time.monotonic() < deadline, f"{self.pipeline.waiting()} messages are not done with after {EMPTIED_S} s"
            self.goes_on(self.pauses_s[ATTEMPTS - 2])

    def _empty_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.pipeline.waiting():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True


EVENTED: Mapping[str, type[Evented]] = {"aws": AwsEvented, "azure": AzureEvented, "gcp": GoogleEvented}
# Settings of `events` that only these take.
SETTINGS: Mapping[str, Mapping[str, Any]] = {"aws": {"batchWindowSeconds": 1}, "azure": {}, "gcp": {}}


def event_stacks(cloud: str) -> list[ReadyStack]:
    return [ready for ready in STACKS if ready.pattern == "events" and ready.cloud == cloud]


def brought_up(deployment: Deployment, cloud: str, stacks: Sequence[ReadyStack]) -> Iterator[list[Evented]]:
    """All of them, of one cloud, brought up at the same time, with `EVENTS` and what is special; gone afterwards."""
    for ready in stacks:
        deployment.configure(
            ready.name, {"endpoint": {"predictSeconds": PREDICT_S, "maxBodyBytes": BODY_BYTES}, "events": {**EVENTS, **SETTINGS[cloud]}}
        )
    with ThreadPoolExecutor(len(stacks)) as pool:
        reports = list(pool.map(deployment.up, [ready.name for ready in stacks]))
    assert [report["result"] for report in reports] == ["succeeded"] * len(stacks)
    made = []
    for ready in stacks:
        outputs = deployment.outputs(ready.name)
        pipeline, observed = pipeline_of(deployment, outputs), observed_of(deployment, outputs)
        half = EVENTED[cloud]
        made.append(half(deployment=deployment, ready=ready, outputs=outputs, pipeline=pipeline, observed=observed))
    yield made
    for ready in stacks:
        deployment.run("destroy", ready.name, code=None)  # one of them may be gone already
