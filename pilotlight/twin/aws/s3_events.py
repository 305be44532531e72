"""Events of buckets: a message for each object that was created, to the queues that the bucket's notification names.

The twin sends them itself, after the emulator has stored the object and before the client hears of it, so that an object whose PUT was
answered has its event on disk. The document is S3's event message structure 2.1 (S3 user guide); order is told by `sequencer` alone.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

from pilotlight.twin.aws.sqs_attributes import SqsError
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import World

BUCKET = "aws:s3/bucket:Bucket"
NOTIFICATION = "aws:s3/bucketNotification:BucketNotification"
SERVICE = "s3.amazonaws.com"
# No program declares it, so the engine never sees it.
SEQUENCER = "pilotlight:s3/sequencer:Sequencer"
# How far ahead the sequencer is written down, in its own steps (nanoseconds): a restart goes on after that.
_RESERVED = 60 * 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Created:
    """An object that was stored. `how` is S3's word: Put, Copy or CompleteMultipartUpload; `version` is None without versioning."""

    how: str
    bucket: str
    key: str
    size: int
    etag: str
    version: str | None
    principal: str
    source_ip: str = "127.0.0.1"
    request_id: str = ""


class BucketEvents:
    """`attach` it to its twin before use. Thread-safe, but for `order`, which belongs to the loop."""

    def attach(self, twin: Twin) -> None:
        self._twin = twin
        self._sequencer = _Sequencer(twin.world)
        self._orders: weakref.WeakValueDictionary[tuple[str, str], asyncio.Lock] = weakref.WeakValueDictionary()

    def wanted(self, bucket: str) -> bool:
        """Whether the bucket has a notification."""
        return self._twin.world.get(NOTIFICATION, bucket) is not None

    def order(self, bucket: str, key: str) -> asyncio.Lock:
        """To be held from before an object is stored until `created` was called: the sequencer must grow as the versions do."""
        lock = self._orders.get((bucket, key))
        if lock is None:
            lock = self._orders[bucket, key] = asyncio.Lock()
        return lock

    def created(self, event: Created) -> None:
        """Send what the bucket's notification asks for. A queue that is gone or closed gets nothing, as on AWS."""
        notification = self._twin.world.get(NOTIFICATION, event.bucket)
        for target in notification.get("queues", []) if notification else []:
            if _matches(target, event):
                self._send(target, _record(event, target, self._sequencer.next(), self._twin))

    def test(self, bucket: str, queue_arn: str) -> None:
        """The message that S3 sends when a notification is configured."""
        body = {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _iso(self._twin.clock.now()),
            "Bucket": bucket,
            "RequestId": _request_id(),
            "HostId": uuid.uuid4().hex,
        }
        self._twin.sqs.send(queue_arn, json.dumps(body))

    def _send(self, target: Mapping[str, Any], record: dict[str, Any]) -> None:
        arn, bucket = str(target["queueArn"]), record["s3"]["bucket"]["arn"]
        if not self._twin.sqs.lets_send(arn, SERVICE, bucket):
            return
        body = json.dumps({"Records": [record]}, separators=(",", ":"))
        try:
            for delay_s in self._twin.faults.event_delays():
                self._twin.sqs.send(arn, body, delay_s=delay_s)
        except SqsError:
            # It was deleted a moment ago.
            return


class _Sequencer:
    """Hexadecimal texts that grow, also after a restart; compared as S3 says: the shorter one padded with zeros on its right."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        held = world.get(SEQUENCER, "objects")
        self._reserved = int(held["reserved"]) if held else 0
        self._last = self._reserved

    def next(self) -> str:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            if self._last >= self._reserved:
                self._reserved = self._last + _RESERVED
                self._world.put(Resource(token=SEQUENCER, id="objects", urn="", outputs={"reserved": self._reserved}))
            # S3's differ in length.
            return f"{self._last:018X}".rstrip("0")


def _matches(target: Mapping[str, Any], event: Created) -> bool:
    names = ("s3:ObjectCreated:*", f"s3:ObjectCreated:{event.how}")
    prefix, suffix = target.get("filterPrefix") or "", target.get("filterSuffix") or ""
    return any(name in names for name in target["events"]) and event.key.startswith(prefix) and event.key.endswith(suffix)


def _record(event: Created, target: Mapping[str, Any], sequencer: str, twin: Twin) -> dict[str, Any]:
    stored: dict[str, Any] = {"key": quote_plus(event.key, safe="/"), "size": event.size, "eTag": event.etag}
    if event.version:
        stored["versionId"] = event.version
    request = event.request_id or _request_id()
    owner = {"principalId": f"A{twin.account}"}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": str(target["queueArn"]).split(":")[3],
        "eventTime": _iso(twin.clock.now()),
        "eventName": f"ObjectCreated:{event.how}",
        "userIdentity": {"principalId": f"AWS:{event.principal}"},
        "requestParameters": {"sourceIPAddress": event.source_ip},
        "responseElements": {"x-amz-request-id": request, "x-amz-id-2": uuid.uuid4().hex},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": target["id"],
            "bucket": {"name": event.bucket, "ownerIdentity": owner, "arn": f"arn:aws:s3:::{event.bucket}"},
            "object": {**stored, "sequencer": sequencer},
        },
    }


def judge_targets(twin: Twin, bucket: str, targets: list[Mapping[str, Any]]) -> None:
    """Refusal where S3 could not send to a queue, or would not know to which of two."""
    for number, target in enumerate(targets):
        if not twin.sqs.lets_send(str(target["queueArn"]), SERVICE, f"arn:aws:s3:::{bucket}"):
            raise Refusal("InvalidArgument", "Unable to validate the following destination configurations")
        if any(_overlap(target, other) for other in targets[:number]):
            text = "Configurations overlap. Configurations on the same bucket cannot share a common event type."
            raise Refusal("InvalidArgument", text)


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    events = [set(side["events"]) for side in (one, other)]
    every = "s3:ObjectCreated:*"
    common = bool(events[0] & events[1]) or any(every in side for side in events)
    prefixes = [side.get("filterPrefix") or "" for side in (one, other)]
    suffixes = [side.get("filterSuffix") or "" for side in (one, other)]
    same_start = prefixes[0].startswith(prefixes[1]) or prefixes[1].startswith(prefixes[0])
    same_end = suffixes[0].endswith(suffixes[1]) or suffixes[1].endswith(suffixes[0])
    return common and same_start and same_end


def notification(world: World, bucket: str, method: str) -> AwsResponse:
    """GetBucketNotificationConfiguration. Refusal for setting it by the API."""
    if method != "GET":
        raise Refusal("NotImplemented", "The twin sets the notification of a bucket by the resource BucketNotification only.", 501)
    if world.get(BUCKET, bucket) is None:
        raise Refusal("NoSuchBucket", "The specified bucket does not exist", 404)
    held = world.get(NOTIFICATION, bucket)
    inner = "".join(_target_xml(target) for target in (held.get("queues", []) if held else []))
    body = f'<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</NotificationConfiguration>'
    return AwsResponse(headers={"content-type": "application/xml"}, body=f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode())


def _target_xml(target: Mapping[str, Any]) -> str:
    rules = [(name, target.get(f"filter{name}")) for name in ("Prefix", "Suffix")]
    rule = "".join(f"<FilterRule><Name>{name}</Name><Value>{escape(value)}</Value></FilterRule>" for name, value in rules if value)
    wanted = "".join(f"<Event>{escape(event)}</Event>" for event in target["events"])
    only = f"<Filter><S3Key>{rule}</S3Key></Filter>" if rule else ""
    named = f"<Id>{escape(target['id'])}</Id><Queue>{escape(target['queueArn'])}</Queue>"
    return f"<QueueConfiguration>{named}{wanted}{only}</QueueConfiguration>"


def _iso(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(instant * 1000) % 1000:03d}Z"


def _request_id() -> str:
    return uuid.uuid4().hex[:16].upper()
