"""Event stacks that are up side by side in one account, as their tests see them. Each cloud has its own half."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.conformance.observed import Observed, observed_of
from tests.conformance.pipeline import Identity, Pipeline, pipeline_of
from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import EventsUse
from tests.support.deployment import Deployment
from tests.support.vectors import TEXTS, assert_embeds

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
ENGLISH = TEXTS["english"]["text"].encode()
TYPES = {"txt": "text/plain", "json": "application/json", "jsonl": "application/x-ndjson", "png": "image/png"}
NAMES = ("english", "chinese", "emoji", "one token", "special tokens")
POISON = b'{"inputs": '


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


def event_stacks(cloud: str) -> list[ReadyStack]:
    return [ready for ready in STACKS if ready.pattern == "events" and ready.cloud == cloud]


def brought_up(
    deployment: Deployment, stacks: Sequence[ReadyStack], events: Mapping[str, Any], make: Callable[..., Evented]
) -> Iterator[dict[str, Evented]]:
    """All of them, brought up at the same time, with `EVENTS` and what is special; gone afterwards."""
    for ready in stacks:
        deployment.configure(
            ready.name, {"endpoint": {"predictSeconds": PREDICT_S, "maxBodyBytes": BODY_BYTES}, "events": {**EVENTS, **events}}
        )
    with ThreadPoolExecutor(len(stacks)) as pool:
        reports = list(pool.map(deployment.up, [ready.name for ready in stacks]))
    assert [report["result"] for report in reports] == ["succeeded"] * len(stacks)
    made = {}
    for ready in stacks:
        outputs = deployment.outputs(ready.name)
        pipeline, observed = pipeline_of(deployment, outputs), observed_of(deployment, outputs)
        made[ready.name] = make(deployment=deployment, ready=ready, outputs=outputs, pipeline=pipeline, observed=observed)
    yield made
    for ready in stacks:
        deployment.run("destroy", ready.name, code=None)  # one of them may be gone already
