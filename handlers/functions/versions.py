"""What a cloud gives the event pipeline: versions of objects to work on, and the three things that it needs. Pure.

A cloud's folder (`aws/`) reads its events into `Delivery`s and implements `Objects` and `Results`; `Model` is its endpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from handlers.functions.objects import Content
from handlers.functions.outcomes import Outcome

VersionId = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectVersion:
    """One version of an object as its event names it; `size` is in bytes, `request_id` the correlation id.

    `version` is None where the bucket keeps no versions. `sequencer` compares as text as the versions of a key are ordered. `event` is
    what the attempts of its event are counted by, where a cloud's function counts them itself.
    """

    bucket: str
    key: str
    version: str | None
    sequencer: str
    etag: str
    size: int
    uri: str
    request_id: str
    # The version is the same whichever event tells of it.
    event: str | None = field(default=None, compare=False)

    @property
    def object(self) -> str:
        return f"{self.bucket}/{self.key}"

    @property
    def id(self) -> VersionId:
        """What the result is recorded under. Without versions each upload is one of its own, told apart by its place in the order."""
        return self.object, self.version or f"null#{self.sequencer.rstrip('0') or self.etag}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One version that a queue delivers for the `attempt`th time, from 1 on."""

    version: ObjectVersion
    attempt: int


@dataclass(frozen=True, slots=True)
class Result:
    """`body` is the answer that the object's inputs would get from the model server: `{"outputs": …}`."""

    version: ObjectVersion
    body: str


class Objects(Protocol):
    """The store of the objects."""

    def read(self, version: ObjectVersion) -> Content:
        """The bytes of this very version. Raises Refused when it is gone, Unavailable. Called in several threads."""
        ...


class ModelAnswer(Protocol):
    """An answer's bytes, and the stages of a cold start in milliseconds where there was one."""

    @property
    def body(self) -> bytes: ...

    @property
    def cold_start(self) -> dict[str, float]: ...


class Model(Protocol):
    """The endpoint, or the model in this process."""

    def invoke(self, body: bytes, *, request_id: str, budget_s: float) -> ModelAnswer:
        """The answer to one request within `budget_s` seconds. Raises RequestProblem."""
        ...


class Results(Protocol):
    """Where results go, once per object version whatever happens on the way."""

    def settled(self, versions: Sequence[ObjectVersion]) -> dict[VersionId, Outcome]:
        """Those that have a result already, after the rest of their work was done (or failed). Raises Unavailable."""
        ...

    def record(self, results: Sequence[Result]) -> dict[VersionId, Outcome]:
        """Record each once, and the newest version of an object as such: an outcome for every one."""
        ...
