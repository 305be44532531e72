"""Cloud Storage: buckets and their notifications. Objects are `rows_objects.py`, grants `rows_iam.py`."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from pilotlight.twin.forms import choice_problems
from pilotlight.twin.gcp import agents, assigned
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.places import BUCKETS
from pilotlight.twin.gcp.types import BUCKET, BUCKET_OBJECT, NOTIFICATION, TOPIC
from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

LINK = "https://www.googleapis.com/storage/v1/b/"
# Cloud Storage documentation, "About Cloud Storage buckets", naming (read 2026-11).
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_PART = 63
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_DAY_S = 86_400
_SOFT_DELETE_S = (7 * _DAY_S, 90 * _DAY_S)
_TOPIC = re.compile(r"(?://pubsub\.googleapis\.com/)?(projects/[^/]+/topics/[^/]+)")
_CLASSES = ("STANDARD", "MULTI_REGIONAL", "REGIONAL", "NEARLINE", "COLDLINE", "ARCHIVE")
_ACTIONS = ("Delete", "SetStorageClass", "AbortIncompleteMultipartUpload")
_STATES = ("LIVE", "ARCHIVED", "ANY")
_DATES = ("createdBefore", "noncurrentTimeBefore", "customTimeBefore")
_EVENTS = ("OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE", "OBJECT_ARCHIVE")


def _name_problem(name: str) -> str | None:
    parts = name.split(".")
    if len(parts) == 1 and not 3 <= len(name) <= _PART:
        return f"has {len(name)} characters: use 3 to {_PART}."
    if not _NAME.fullmatch(name) or ".." in name or any(len(part) > _PART for part in parts) or _ADDRESS.fullmatch(name):
        return "is no bucket name: use lower-case letters, digits, '-', '_' and single '.', no IP address."
    if name.startswith("goog") or "google" in name:
        return "is no bucket name: it must not begin with 'goog' nor hold 'google'."
    return None


def _date_problems(path: str, value: object) -> list[str]:
    try:
        if isinstance(value, str):
            date.fromisoformat(value)
    except ValueError:
        return [f"{path}: {value!r} is no date: use one like '2026-11-26'."]
    return []


def _limits(inputs: Properties) -> list[str]:
    found = []
    name = inputs.get("name")
    if isinstance(name, str) and (problem := _name_problem(name)):
        found.append(f"name: {name!r} {problem}")
    kept = (inputs.get("softDeletePolicy") or {}).get("retentionDurationSeconds")
    if kept and not _SOFT_DELETE_S[0] <= kept <= _SOFT_DELETE_S[1]:
        found.append(f"softDeletePolicy.retentionDurationSeconds: {kept}: use 0, or {_SOFT_DELETE_S[0]} to {_SOFT_DELETE_S[1]}.")
    found += choice_problems("storageClass", inputs.get("storageClass"), _CLASSES)
    found += choice_problems("publicAccessPrevention", inputs.get("publicAccessPrevention"), ("inherited", "enforced"))
    for index, rule in enumerate(inputs.get("lifecycleRules") or []):
        action, condition = rule.get("action") or {}, rule.get("condition") or {}
        found += choice_problems(f"lifecycleRules[{index}].action.type", action.get("type"), _ACTIONS)
        found += choice_problems(f"lifecycleRules[{index}].condition.withState", condition.get("withState"), _STATES)
        found += [
            problem for name in _DATES for problem in _date_problems(f"lifecycleRules[{index}].condition.{name}", condition.get(name))
        ]
    return found


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    name = inputs["name"]
    return {
        "url": f"gs://{name}",
        "selfLink": f"{LINK}{name}",
        "projectNumber": int(assigned.project_number(inputs["project"])),
        "updated": assigned.now(twin),
        "storageClass": inputs.get("storageClass") or "STANDARD",
        "forceDestroy": inputs.get("forceDestroy", False),
        "publicAccessPrevention": inputs.get("publicAccessPrevention") or "inherited",
        "uniformBucketLevelAccess": inputs.get("uniformBucketLevelAccess", False),
        "versioning": inputs.get("versioning") or {"enabled": False},
        "softDeletePolicy": inputs.get("softDeletePolicy") or {"retentionDurationSeconds": _SOFT_DELETE_S[0]},
        "rpo": inputs.get("rpo") or "DEFAULT",
        "website": inputs.get("website") or {},
    }


def _delete(twin: Twin, resource: Resource) -> None:
    """What programs put there and nobody took away keeps the bucket; whatever else it holds is the data plane's to know."""
    ours, plane = twin.world.find(BUCKET_OBJECT, bucket=resource.id), twin.gcp.planes.of(twin, BUCKET_OBJECT)
    held = [one for one in ours if plane.read(one) is not None]
    if held and not resource.get("forceDestroy"):
        raise Refusal(
            "BucketNotEmpty",
            f"The bucket {resource.id} holds objects ({len(held)}): delete them, or set forceDestroy, run `up`, then try again.",
            409,
        )
    for one in ours:
        twin.world.delete(BUCKET_OBJECT, one.id)


def require_bucket(twin: Twin, name: str) -> Resource:
    """The bucket of that name. Refusal where there is none."""
    bucket = twin.world.get(BUCKET, name)
    if bucket is None:
        raise Refusal("NOT_FOUND", f"The specified bucket does not exist: {name}.", 404)
    return bucket


def _notification_limits(inputs: Properties) -> list[str]:
    found = choice_problems("payloadFormat", inputs.get("payloadFormat"), ("JSON_API_V1", "NONE"))
    if isinstance(topic := inputs.get("topic"), str) and "/" in topic and not _TOPIC.fullmatch(topic):
        found.append(f"topic: {topic!r} is no topic: use projects/PROJECT/topics/NAME, a topic's `id`.")
    for index, kind in enumerate(inputs.get("eventTypes") or []):
        found += choice_problems(f"eventTypes[{index}]", kind, _EVENTS)
    return found


def topic_of(twin: Twin, inputs: Properties) -> str:
    """The full name of a notification's topic: a short one is a topic of the bucket's project."""
    topic = str(inputs["topic"])
    full = _TOPIC.fullmatch(topic)
    return full[1] if full else f"projects/{require_bucket(twin, inputs['bucket'])['project']}/topics/{topic}"


def _check_notification(twin: Twin, inputs: Properties) -> None:
    bucket, topic = require_bucket(twin, inputs["bucket"]), topic_of(twin, inputs)
    if twin.world.get(TOPIC, topic) is None:
        raise Refusal("NOT_FOUND", f"Topic {topic} does not exist.", 404)
    agent = agents.agent(bucket["project"], agents.STORAGE)
    if reason := twin.gcp.iam.allowed(agent, "pubsub.topics.publish", topic):
        raise Refusal(
            "FORBIDDEN",
            f"The service account {agent} does not have permission to publish messages to the Cloud Pub/Sub topic {topic}: {reason} "
            "Grant it roles/pubsub.publisher there; storage.getProjectServiceAccount gives its `member`.",
            403,
        )


def _new_notification(twin: Twin, inputs: Properties) -> dict[str, Any]:
    taken = {int(one["notificationId"]) for one in twin.world.find(NOTIFICATION, bucket=inputs["bucket"])}
    number = str(max(taken, default=0) + 1)
    return {"notificationId": number, "selfLink": f"{LINK}{inputs['bucket']}/notificationConfigs/{number}"}


def _service_account(twin: Twin, args: Properties) -> dict[str, Any]:
    project = str(args["project"])
    email = agents.make(twin.world, project, agents.STORAGE)
    return {"emailAddress": email, "id": email, "member": f"serviceAccount:{email}", "project": project}


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=BUCKET,
            id=lambda p: str(p["name"]),
            name=Name(field="name", max_length=222),
            replaces=frozenset({"name", "customPlacementConfig", "enableObjectRetention", "hierarchicalNamespace"}),
            assigned=lambda twin, inputs: {"timeCreated": assigned.now(twin)},
            computed=_computed,
            discovery="storage.v1:Bucket",
            rename={
                "lifecycleRules": "lifecycle.rule",
                "uniformBucketLevelAccess": "iamConfiguration.uniformBucketLevelAccess.enabled",
                "publicAccessPrevention": "iamConfiguration.publicAccessPrevention",
                "requesterPays": "billing.requesterPays",
                "retentionPolicy.retentionPeriod": "retentionPolicy.retentionPeriod",
            },
            limits=_limits,
            delete=_delete,
        ),
        api="storage.googleapis.com",
        place="location",
        places=BUCKETS,
        labelled=True,
    ),
    google(
        Row(
            token=NOTIFICATION,
            id=lambda p: f"{p['bucket']}/notificationConfigs/{p['notificationId']}",
            replaces=frozenset({"*"}),
            assigned=_new_notification,
            limits=_notification_limits,
            check=_check_notification,
        ),
        policy=None,
    ),
)
INVOKES: tuple[Invoke, ...] = (
    Invoke(token="gcp:storage/getProjectServiceAccount:getProjectServiceAccount", answer=_service_account),  # noqa: S106 (a type)
)
