"""Cloud Scheduler: jobs."""

from __future__ import annotations

import base64
import binascii
import re
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.twin.forms import Form, only_one
from pilotlight.twin.gcp import identities
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.names import duration_problems
from pilotlight.twin.gcp.types import JOB, TOPIC
from pilotlight.twin.local_times import BadExpression
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.unix_cron import UnixCron

# Cloud Scheduler API, projects.locations.jobs (read 2026-11).
_NAME = Form(r"[A-Za-z0-9_-]{1,500}", "up to 500 letters, digits, - and _")
_DEADLINE_S = (15.0, 1800.0)
_RETRIES = (0, 5)
_TARGETS = ("pubsubTarget", "httpTarget", "appEngineHttpTarget")
_METHODS = ("POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
# Cloud Scheduler documentation, "Alternative job format": App Engine's words.
_WORDS = re.compile(r"(?:every|(?:\d+(?:st|nd|rd|th)|first|second|third|fourth|fifth)\b).+")


def schedule_problem(text: str) -> str | None:
    """What is wrong with a schedule, or None."""
    if in_words(text):
        return None
    try:
        UnixCron.of(text, zoneinfo.ZoneInfo("UTC"))
    except BadExpression as error:
        return str(error)
    return None


def in_words(text: str) -> bool:
    """Whether a schedule is told in words, as `every 24 hours`."""
    return _WORDS.fullmatch(text.strip().lower()) is not None


def _limits(inputs: Properties) -> list[str]:
    found = [*_NAME.problems("name", inputs), *only_one(inputs, *_TARGETS)]
    schedule, zone = inputs.get("schedule"), inputs.get("timeZone")
    if schedule is None:
        found.append("schedule: is missing: when does the job run, as '0 8 * * mon-fri'?")
    elif isinstance(schedule, str) and (problem := schedule_problem(schedule)):
        found.append(f"schedule: {problem}")
    if isinstance(zone, str) and zone not in zoneinfo.available_timezones():
        found.append(f"timeZone: {zone!r} is no time zone: use a name of the tz database, as 'Europe/Berlin'.")
    found += duration_problems("attemptDeadline", inputs.get("attemptDeadline"), *_DEADLINE_S)
    retry = inputs.get("retryConfig")
    count = retry.get("retryCount") if isinstance(retry, Mapping) else None
    if isinstance(count, int) and not _RETRIES[0] <= count <= _RETRIES[1]:
        found.append(f"retryConfig.retryCount: {count} is out of range: use {_RETRIES[0]} to {_RETRIES[1]}.")
    return [*found, *_target_problems(inputs)]


def _target_problems(inputs: Properties) -> Iterator[str]:
    http, pubsub = inputs.get("httpTarget"), inputs.get("pubsubTarget")
    if isinstance(http, Mapping):
        if isinstance(uri := http.get("uri"), str) and not uri.startswith(("http://", "https://")):
            yield f"httpTarget.uri: {uri!r} is no address: use one that begins with https://."
        if (method := http.get("httpMethod")) is not None and method not in _METHODS:
            yield f"httpTarget.httpMethod: {method!r} is not allowed: use one of {', '.join(_METHODS)}."
        if http.get("oauthToken") and http.get("oidcToken"):
            yield "httpTarget.oauthToken, httpTarget.oidcToken: exclude each other: one is for Google's APIs, the other for Cloud Run."
        yield from _base64_problems("httpTarget.body", http.get("body"))
    if isinstance(pubsub, Mapping):
        yield from _base64_problems("pubsubTarget.data", pubsub.get("data"))
        if not (pubsub.get("data") or pubsub.get("attributes")):
            yield "pubsubTarget: is empty: a message has data or attributes."


def _base64_problems(path: str, value: object) -> list[str]:
    if not isinstance(value, str):
        return []
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        return [f"{path}: is no base64 text: encode it."]
    return []


def _check(twin: Twin, inputs: Properties) -> None:
    http = inputs.get("httpTarget") or {}
    for kind in ("oauthToken", "oidcToken"):
        if email := (http.get(kind) or {}).get("serviceAccountEmail"):
            identities.require(twin.world, email)
    topic = (inputs.get("pubsubTarget") or {}).get("topicName")
    if topic and twin.world.get(TOPIC, topic) is None:
        raise Refusal("NOT_FOUND", f"Topic {topic} does not exist: use a Topic's `id`.", 404)


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    paused = bool(inputs.get("paused", False))
    return {
        "state": "PAUSED" if paused else "ENABLED",
        "paused": paused,
        "timeZone": inputs.get("timeZone") or "Etc/UTC",
        "attemptDeadline": inputs.get("attemptDeadline") or "180s",
    }


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=JOB,
            id=lambda p: f"projects/{p['project']}/locations/{p['region']}/jobs/{p['name']}",
            name=Name(field="name", max_length=255),
            replaces=frozenset({"name"}),
            computed=_computed,
            discovery="cloudscheduler.v1:Job",
            limits=_limits,
            check=_check,
        ),
        api="cloudscheduler.googleapis.com",
        place="region",
    ),
)
