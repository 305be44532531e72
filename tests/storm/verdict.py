"""What must hold after a storm, read from the table, the bucket and the dead letters by plain clients."""

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from boto3.dynamodb.types import TypeDeserializer

from tests.storm.uploads import Uploaded
from tests.support.vectors import RECORDED, TEXTS

LATEST = "#latest"
# The numbers of a queue of SQS: what waits, what is under way, what is to come later.
WAITING = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
# How long a dead letter that is looked at is out of sight, in seconds.
HELD_S = 600
Identity = tuple[str, str]


@dataclass(kw_only=True)
class Verdict:
    """Where every accepted version has ended; every list must be empty. `again` are messages about versions that had one already, which a
    queue of results may have: a row is sent at least once. `overtaken` were replaced in a bucket that keeps one version alone, by one that
    has its row, and the function has said so."""

    rows: int
    dead: int
    overtaken: int = 0
    again: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    not_newest: list[str] = field(default_factory=list)
    unsent: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Everything that must not be, in sentences."""
        kinds = ("lost", "doubled", "strange", "wrong", "not_newest", "unsent", "unlike")
        return [f"{kind}: {text}" for kind in kinds for text in getattr(self, kind)]


def rows_of(dynamodb: Any, table: str) -> list[dict[str, Any]]:
    """Every row of the table as plain values."""
    read, pages = TypeDeserializer().deserialize, dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [{name: read(value) for name, value in item.items()} for page in pages for item in page["Items"]]


def identities(body: str) -> list[Identity]:
    """The (bucket/key, version) pairs that an S3 event names."""
    records = [record["s3"] for record in json.loads(body)["Records"]]
    return [(f"{s3['bucket']['name']}/{unquote_plus(s3['object']['key'])}", s3["object"].get("versionId", "null")) for s3 in records]


def dead_letters(sqs: Any, url: str) -> list[Identity]:
    """The versions among the dead letters. They stay there: their time out of sight ends with the reading."""
    found: dict[str, list[Identity]] = {}
    handles: dict[str, str] = {}
    # Where the reading takes longer than they are out of sight the first ones come again, and only the newest receipt gives one back.
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=HELD_S).get("Messages", []):
        again = all(message["MessageId"] in found for message in messages)
        found |= {message["MessageId"]: identities(message["Body"]) for message in messages}
        handles |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        if again:
            break
    for handle in handles.values():
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    return [identity for named in found.values() for identity in named]


def newest(s3: Any, bucket: str) -> dict[str, str]:
    """bucket/key -> the version that S3 itself calls the latest."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    return {f"{bucket}/{item['Key']}": item["VersionId"] for page in pages for item in page.get("Versions", []) if item["IsLatest"]}


def judge(
    uploaded: Iterable[Uploaded],
    bucket: str,
    rows: Sequence[Mapping[str, Any]],
    dead: Iterable[Identity],
    latest: Mapping[str, str],
    messages: Sequence[Mapping[str, Any]] | None = None,
    *,
    passed_over: Collection[Identity] = (),
) -> Verdict:
    """One row per version, the right answer in it, the newest version ahead, nothing lost, nothing invented; where results are sent as
    `messages` too, each row is or waits among the dead letters, and whatever is sent again is the same.

    One that the function says it has `passed_over`, since it was replaced, needs no row once a later one of its object has one.
    """
    texts = {(f"{bucket}/{done.upload.key}", done.version): done.upload.text for done in uploaded}
    counted = Counter((row["object"], row["version"]) for row in rows)
    results = {(row["object"], row["version"]): row for row in rows if row["version"] != LATEST}
    pointers = {row["object"]: row for row in rows if row["version"] == LATEST}
    in_grave = set(dead)
    verdict = Verdict(rows=len(results), dead=len(in_grave))
    missing = [identity for identity in texts if identity not in results and identity not in in_grave]
    overtaken = _overtaken(texts, results).intersection(passed_over)
    verdict.overtaken = len(overtaken.intersection(missing))
    verdict.lost = [str(identity) for identity in missing if identity not in overtaken]
    verdict.doubled = [str(identity) for identity, count in counted.items() if count > 1]
    verdict.strange = [str(identity) for identity in [*results, *in_grave] if identity not in texts]
    verdict.wrong = [str(identity) for identity, text in texts.items() if identity in results and not agrees(results[identity], text)]
    for name, version in latest.items():
        # The newest that has an answer at all: one among the dead letters has none yet.
        if (name, version) in results and pointers.get(name, {}).get("latest") != version:
            verdict.not_newest.append(f"{name}: {pointers.get(name)} instead of {version}")
    if messages is not None:
        _judge_messages(verdict, results, in_grave, messages)
    return verdict


def _overtaken(uploaded: Iterable[Identity], results: Collection[Identity]) -> set[Identity]:
    """Those of which a later version, in the order of the uploads, has its row."""
    found: set[Identity] = set()
    with_row: set[str] = set()
    for identity in reversed(list(uploaded)):
        if identity[0] in with_row:
            found.add(identity)
        if identity in results:
            with_row.add(identity[0])
    return found


def _judge_messages(
    verdict: Verdict, results: Mapping[Identity, Mapping[str, Any]], in_grave: Collection[Identity], messages: Sequence[Mapping[str, Any]]
) -> None:
    sent: dict[Identity, Mapping[str, Any]] = {}
    for message in messages:
        identity = (message["object"], message["version"])
        first = sent.setdefault(identity, message)
        row = results.get(identity)
        if message != first or row is None or json.loads(row["result"]) != message["result"]:
            verdict.unlike.append(str(identity))
    # Where the queue of results was out for all attempts there is the row, and a dead letter whose replay sends it.
    verdict.unsent = [str(identity) for identity in results if identity not in sent and identity not in in_grave]
    verdict.again = len(messages) - len(sent)


def agrees(row: Mapping[str, Any], text: str) -> bool:
    """Whether the row's answer is the recorded embedding of this text, and of no other."""
    found, expected = json.loads(row["result"])["outputs"], TEXTS[text]["sentence"]
    tolerance = RECORDED["tolerance"]
    return len(found) == len(expected) and all(
        math.isclose(one, other, abs_tol=tolerance) for one, other in zip(found, expected, strict=True)
    )
