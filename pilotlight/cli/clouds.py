"""What the verbs ask of the cloud that a stack's data lies in; each cloud has a folder of its own that answers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session
from pilotlight.cli.times import shown

# A stack's cloud is the first word of its output `platform`; a resource's that of its type. -> `module:Class` below this package.
CLOUDS: Mapping[str, str] = {"aws": "aws.cloud:Aws", "gcp": "gcp.cloud:Google", "azure": "azure.cloud:Azure"}
KEPT: Mapping[str, str] = {"aws": "aws.retention:Kept", "gcp": "gcp.retention:Kept", "azure-native": "azure.retention:Kept"}
# The output that names the dead letters, in every cloud.
DEAD = "deadLetterQueueUrl"
# An object, `bucket/key`, and its version.
VersionId = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One result. `object` is "bucket/key", `version` the store's own id of it, `result` what the model answered.

    `sequencer` orders the versions of an object.
    """

    object: str
    version: str
    sequencer: str
    at: str
    task: str
    request_id: str
    result: Any

    @property
    def key(self) -> str:
        return self.object.partition("/")[2]

    def document(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "object": self.object,
            "version": self.version,
            "at": self.at,
            "task": self.task,
            "requestId": self.request_id,
            "result": self.result,
        }


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """One message. `about` are the object versions of an event stack, or the id of an answer; `sent` is in ms since 1970.

    `reason` is why there was no result, where the message tells it; `receipt` is what the queue takes it back by.
    """

    message_id: str
    about: tuple[VersionId, ...]
    answer: str | None
    sent: int
    receipt: str
    reason: str | None = None

    @property
    def names(self) -> list[str]:
        return [f"{object_} {version}" for object_, version in self.about] or [f"answer {self.answer}" if self.answer else self.message_id]

    @property
    def word(self) -> str:
        """What the functions' log lines about it hold and no others do."""
        object_, version = self.about[0] if self.about else ("", self.answer or self.message_id)
        return object_ if version == "null" else version

    def document(self) -> dict[str, Any]:
        objects = [{"object": object_, "version": version} for object_, version in self.about]
        return {"messageId": self.message_id, "objects": objects, "answer": self.answer, "sentAt": shown(self.sent / 1000)}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at the dead letters found: some of them, and how many there are, None where nobody can say."""

    count: int | None
    letters: list[DeadLetter]

    @property
    def some(self) -> bool:
        return bool(self.count or self.letters)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt failed, and whether every other one must fail as well."""

    reason: str
    permanent: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """One log line: `at` in ms since 1970, who wrote it, the text without its newline, and what no other line has."""

    at: int
    group: str
    text: str
    identity: str


class Objects(Protocol):
    """Where an event stack's objects are put."""

    bucket: str

    def put(self, file: Path, key: str, content_type: str) -> str:
        """The version that the file became. Raises OSError where it can't be read, CommandError where it can't be put there."""


class Results(Protocol):
    """An event stack's results, one per object version. Every method raises CommandError where they can't be read."""

    table: str

    def those(self, wanted: Iterable[VersionId]) -> dict[VersionId, Row]:
        """The rows of these versions, as far as they are there."""

    def of(self, key: str) -> list[Row]:
        """The rows of one object, its newest version first."""

    def some(self, limit: int) -> list[Row]:
        """Up to `limit` rows of any objects, the oldest first; which ones, where there are more, is the table's to say."""


class DeadLetters(Protocol):
    """What got no result. Every method raises CommandError where it can't be looked at."""

    url: str

    def look(self, limit: int) -> Look:
        """Up to `limit` of them, given back before this returns, and how many there are."""

    def move(self, rate: int | None) -> dict[str, Any]:
        """Send them all where they came from, at most `rate` a second: `status` ("COMPLETED" where it went well), `moved`, `failure`,
        and how many are `left`."""


class Logs(Protocol):
    """What a stack's functions, endpoint and gateway say. `every_s`: how often a follower may ask."""

    every_s: float

    def lines(self, start: int) -> Iterator[Line]:
        """The lines from `start` (ms) on, in any order. Raises CommandError."""

    def failure(self, word: str, since: int) -> Failure | None:
        """The last failure in the functions' lines from `since` (ms) on that hold the word. Without the right to read logs there is
        none: why is a help only."""


class Cloud(Protocol):
    """The data of one stack that is up."""

    def objects(self) -> Objects: ...

    def results(self) -> Results: ...

    def dead_letters(self) -> DeadLetters: ...

    def logs(self) -> Logs: ...

    def messages(self) -> dict[str, int] | None:
        """What waits, what is in flight and what is dead, as far as it is known; None where the stack has no queues."""


class Keeping(Protocol):
    """What of a stack's state may not be lost."""

    def keeps(self, resource: Mapping[str, Any]) -> bool:
        """Whether a resource in the state may not be deleted with its content."""

    def holds(self, resource: Mapping[str, Any]) -> str | None:
        """`the bucket x (not empty)`, or None when there is nothing in it. Raises CommandError where that can't be seen."""


def cloud_of(session: Session, stack: str, outputs: Mapping[str, Any]) -> Cloud:
    """The cloud of a stack with these outputs. Raises CommandError for one that is not known."""
    platform = str(outputs.get("platform"))
    cloud = platform.partition("-")[0]
    if cloud not in CLOUDS:
        raise CommandError(f"{stack} has platform {platform!r}: those of {' and '.join(CLOUDS)} are known.", Exit.FAILED)
    made: Cloud = _loaded(CLOUDS[cloud])(session, stack, outputs)
    return made


def dead_letters_of(cloud: Cloud, stack: str, outputs: Mapping[str, Any]) -> DeadLetters:
    """The dead letters that a stack's outputs name. Raises CommandError where they name none."""
    if not outputs.get(DEAD):
        raise CommandError(f"{stack} has no dead letters: its callers get every error at once (`answers: {{async: true}}` has a queue).")
    return cloud.dead_letters()


def keeping(cloud: str, session: Session, stack: str, resources: list[Mapping[str, Any]]) -> Keeping:
    """What the resources of a cloud hold, by the first word of their types; `resources` are all of the stack's state."""
    made: Keeping = _loaded(KEPT[cloud])(session, stack, resources)
    return made


def _loaded(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"pilotlight.cli.{module}"), name)
