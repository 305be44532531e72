"""A result as the cloud's table keeps it and as a message tells it. docs/architecture.md, contract 7, lists the attributes. Pure."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from handlers.functions.versions import ObjectVersion, Result, VersionId

LATEST = "#latest"
# 256 KB, less what a message holds beside its result: a key of 1,024 bytes, six times as long where JSON escapes it.
INLINE_BYTES = 262_144 - 8_192
# attribute -> its field
ATTRIBUTES = {
    "object": "object",
    "version": "version",
    "sequencer": "sequencer",
    "etag": "etag",
    "size": "size",
    "task": "task",
    "at": "at",
    "requestId": "request_id",
    "result": "result",
    "resultUri": "result_uri",
    "published": "published",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One result. `result` is its JSON, or `result_uri` the object that holds it; `published` is None where there is no queue."""

    object: str
    version: str
    sequencer: str
    etag: str
    size: int
    task: str
    at: str
    request_id: str
    result: str | None = None
    result_uri: str | None = None
    published: bool | None = None

    @classmethod
    def of(cls, result: Result, *, task: str, result_uri: str | None, published: bool | None) -> Self:
        """The row of a result of now, which lies at `result_uri` where it is too large."""
        version = result.version
        return cls(
            object=version.object,
            version=version.id[1],
            sequencer=version.sequencer,
            etag=version.etag,
            size=version.size,
            task=task,
            at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            request_id=version.request_id,
            result=None if result_uri else result.body,
            result_uri=result_uri,
            published=published,
        )

    @classmethod
    def of_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """The row that was kept with these attributes."""
        return cls(**{field: attributes[name] for name, field in ATTRIBUTES.items() if name in attributes})

    @property
    def id(self) -> VersionId:
        return self.object, self.version

    def attributes(self) -> dict[str, str | int | bool]:
        """By name; what is None is not among them."""
        return {name: value for name, field in ATTRIBUTES.items() if (value := getattr(self, field)) is not None}

    def latest(self) -> dict[str, str]:
        """The attributes of the row that says that this version is its object's newest."""
        return {"object": self.object, "version": LATEST, "latest": self.version, "sequencer": self.sequencer, "at": self.at}


def large_name(version: ObjectVersion, body: bytes) -> str:
    """Where a result goes that is too large for a row.

    Named by its content too: equal results leave one object behind, and one that differs (a model that was replaced between
    two attempts) is not put in the place of the one that the row names.
    """
    return f"results/{hashlib.sha256(json.dumps(version.id).encode() + body).hexdigest()}.json"


def message(row: Row) -> str:
    """The JSON of a result's message: the row's attributes, with the result as a value."""
    fields = {name: value for name, value in row.attributes().items() if name not in ("result", "published")}
    if row.result is None:
        return json.dumps(fields, ensure_ascii=False)
    # In the very characters of the row: to parse and print megabytes of numbers again would cost more than the rest.
    return f'{json.dumps(fields, ensure_ascii=False)[:-1]}, "result": {row.result}}}'
