"""Pub/Sub: topics and subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.twin.forms import Form, short
from pilotlight.twin.gcp import identities
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.names import duration_problems
from pilotlight.twin.gcp.types import SUBSCRIPTION, TOPIC
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin

API = "pubsub.googleapis.com"
# Pub/Sub API, projects.topics and projects.subscriptions: names, and the ranges of their fields (read 2026-11).
_NAME = Form(
    r"(?!goog)[A-Za-z][A-Za-z0-9_.~+%-]{2,254}", "3 to 255 letters, digits and -_.~+% that begin with a letter and not with 'goog'"
)
_ACK_S = (10, 600)
_ATTEMPTS = (5, 100)
_KEPT_S = (600.0, 31 * 86_400.0)
_BACKOFF_S = (0.0, 600.0)
_DELIVERIES = ("pushConfig", "bigqueryConfig", "cloudStorageConfig")


def _topic_limits(inputs: Properties) -> list[str]:
    return [
        *_NAME.problems("name", inputs),
        *duration_problems("messageRetentionDuration", inputs.get("messageRetentionDuration"), *_KEPT_S),
    ]


def _limits(inputs: Properties) -> list[str]:
    found = _NAME.problems("name", inputs)
    found += duration_problems("messageRetentionDuration", inputs.get("messageRetentionDuration"), *_KEPT_S)
    found += _range_problems("ackDeadlineSeconds", inputs.get("ackDeadlineSeconds"), _ACK_S)
    dead = inputs.get("deadLetterPolicy")
    if isinstance(dead, Mapping):
        found += _range_problems("deadLetterPolicy.maxDeliveryAttempts", dead.get("maxDeliveryAttempts"), _ATTEMPTS)
    retry = inputs.get("retryPolicy")
    for field in ("minimumBackoff", "maximumBackoff") if isinstance(retry, Mapping) else ():
        found += duration_problems(f"retryPolicy.{field}", (retry or {}).get(field), *_BACKOFF_S)
    given = [field for field in _DELIVERIES if inputs.get(field)]
    if len(given) > 1:
        found.append(f"{', '.join(given)}: exclude each other: use one of them, or none for a subscription that is pulled.")
    return found


def _range_problems(path: str, value: object, allowed: tuple[int, int]) -> list[str]:
    if not isinstance(value, int | float) or allowed[0] <= value <= allowed[1]:
        return []
    return [f"{path}: {value} is out of range: use {allowed[0]} to {allowed[1]}."]


def topic_id(inputs: Properties, topic: str) -> str:
    """The full name of a topic that may be given by its name alone."""
    return topic if "/" in topic else f"projects/{inputs['project']}/topics/{topic}"


def _check(twin: Twin, inputs: Properties) -> None:
    dead = (inputs.get("deadLetterPolicy") or {}).get("deadLetterTopic")
    for topic in filter(None, (inputs["topic"], dead)):
        if twin.world.get(TOPIC, topic_id(inputs, topic)) is None:
            raise Refusal("NOT_FOUND", f"Resource not found (resource={short(topic)}): there is no topic {topic_id(inputs, topic)}.", 404)
    push = inputs.get("pushConfig") or {}
    if email := (push.get("oidcToken") or {}).get("serviceAccountEmail"):
        identities.require(twin.world, email)


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "ackDeadlineSeconds": inputs.get("ackDeadlineSeconds") or _ACK_S[0],
        "messageRetentionDuration": inputs.get("messageRetentionDuration") or "604800s",
        "expirationPolicy": inputs.get("expirationPolicy") or {"ttl": "2678400s"},
    }


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=TOPIC,
            id=lambda p: f"projects/{p['project']}/topics/{p['name']}",
            name=Name(field="name", max_length=255),
            replaces=frozenset({"name", "tags"}),
            computed=lambda twin, inputs: {"messageStoragePolicy": inputs.get("messageStoragePolicy") or {"allowedPersistenceRegions": []}},
            discovery="pubsub.v1:Topic",
            limits=_topic_limits,
        ),
        api=API,
        labelled=True,
    ),
    google(
        Row(
            token=SUBSCRIPTION,
            id=lambda p: f"projects/{p['project']}/subscriptions/{p['name']}",
            name=Name(field="name", max_length=255),
            replaces=frozenset({"name", "topic", "filter", "enableMessageOrdering", "tags"}),
            computed=_computed,
            discovery="pubsub.v1:Subscription",
            limits=_limits,
            check=_check,
        ),
        api=API,
        labelled=True,
    ),
)
