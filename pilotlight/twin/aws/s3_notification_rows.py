"""S3: the notification of a bucket. S3 tries its queues when it is set, and so does the twin."""

from __future__ import annotations

import hashlib
from typing import Any

from pilotlight.twin.aws.s3_events import NOTIFICATION, judge_targets
from pilotlight.twin.aws.s3_rows import existing_bucket
from pilotlight.twin.rows import Invoke, Properties, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# S3 user guide, "Supported event types": those of objects that are created.
EVENTS = ("s3:ObjectCreated:*", *(f"s3:ObjectCreated:{how}" for how in ("Put", "Post", "Copy", "CompleteMultipartUpload")))
# What the local twin does not run, and why it may not be passed over in silence.
_NOT_RUN = {
    "lambdaFunctions": "functions as the target of a bucket: put a queue between",
    "topics": "topics as the target of a bucket: put a queue between",
    "eventbridge": "EventBridge as the target of a bucket: use a queue",
}


def _limits(inputs: Properties) -> list[str]:
    problems = [f"{name}: the local twin does not run {what}." for name, what in _NOT_RUN.items() if inputs.get(name)]
    for number, target in enumerate(inputs.get("queues", [])):
        for event in target.get("events", []):
            if event not in EVENTS:
                problems.append(f"queues[{number}].events: {event!r}: the local twin sends {', '.join(EVENTS)}.")
    return problems


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {"eventbridge": False, "queues": [_named(inputs["bucket"], target) for target in inputs.get("queues", [])]}


def _named(bucket: str, target: Properties) -> dict[str, Any]:
    """A target with its id: one that the program gives, else one that stays the same."""
    text = f"{bucket} {target['queueArn']} {target.get('filterPrefix')} {target.get('filterSuffix')}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"id": f"tf-s3-queue-{digest[:26]}", **{key: value for key, value in target.items() if value is not None}}


def _check(twin: Twin, inputs: Properties) -> None:
    existing_bucket(twin, inputs)
    judge_targets(twin, inputs["bucket"], inputs.get("queues", []))


def _test(twin: Twin, resource: Resource) -> None:
    for target in resource["queues"]:
        twin.bucket_events.test(resource["bucket"], target["queueArn"])


ROWS: tuple[Row, ...] = (
    Row(
        token=NOTIFICATION,
        id=lambda p: str(p["bucket"]),
        replaces=frozenset({"bucket", "region"}),
        computed=_computed,
        limits=_limits,
        check=_check,
        create=_test,
        update=lambda twin, old, new: _test(twin, new),
        read=lambda twin, resource: dict(resource.outputs) if twin.s3.has_bucket(resource["bucket"]) else None,
        upsert=True,
    ),
)
INVOKES: tuple[Invoke, ...] = ()
