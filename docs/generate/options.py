"""Settings that change what a stack makes, in words and as changes: for the pages, and for the tests that judge every variant."""

import functools
from collections.abc import Mapping
from typing import Any

from pilotlight.planned import Plan, config_of, plan

Changes = Mapping[str, Any]
_NO_KEYS = {"auth.dailyQuota": None, "accessLogs": None}
_JWT = {"auth.mode": "jwt", "auth.issuer": "https://issuer.example", "auth.audience": ["models"], "auth.scopes": ["predict"], **_NO_KEYS}
_WINDOW = {"cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin"}
_PING = {"kind": "ping", "everyMinutes": 5}
_SCHEDULED = {"kind": "scheduled", **_WINDOW, "instances": 2}
_PROVISIONED = {"kind": "provisioned"}
_BUDGET = {"monthlyUsd": 100, "email": "ops@example.com"}
_DROP = {**_BUDGET, "onExceeded": "drop-warming"}
# What a page shows, because it costs at rest or brings outputs.
_SHOWN: Mapping[str, Changes] = {
    "`dashboard`": {"dashboard": True},
    "`warming`: a `ping` rule": {"warming": [_PING]},
    "`warming`: a `scheduled` rule": {"warming": [_SCHEDULED]},
    "`warming`: a `provisioned` rule": {"warming": [_PROVISIONED]},
    "`budget` with `drop-warming`": {"budget": _DROP, "warming": [_PING, _SCHEDULED]},
    "`dataRetention: keep`": {"dataRetention": "keep"},
}
_QUEUE: Mapping[str, Changes] = {"`queue` in `events.results`": {"events.results": ["table", "queue"]}}
_LATER: Changes = {"answers": {"async": True, "keepHours": 24}}
_SHOWN_OF_PATTERN: Mapping[tuple[str, str], Mapping[str, Changes]] = {
    ("aws", "api"): {},
    ("aws", "events"): _QUEUE,
    ("gcp", "api"): {"`answers`": _LATER},
    ("gcp", "events"): _QUEUE,
}
# What makes every other role, policy and resource that there is, in as few variants as may stand together.
_EXTRAS = {"alarms.email": "ops@example.com", "dashboard": True, "dataRetention": "keep"}
_ECR = {"uri": "444455556666.dkr.ecr.us-east-1.amazonaws.com/served@sha256:" + "e" * 64}
_ARTIFACT = {"uri": "europe-docker.pkg.dev/other-project/images/served@sha256:" + "e" * 64}
_JUDGED: Mapping[str, Mapping[str, Changes]] = {
    "aws": {
        "drop swapped": {"budget": _DROP, "warming": [_PING, _SCHEDULED]},
        "drop scaled": {"budget": _DROP, "warming": [_SCHEDULED, _PROVISIONED]},
        "drop provisioned": {"budget": _DROP, "warming": [_PROVISIONED]},
        "extras": {**_EXTRAS, "image": _ECR},
    },
    "gcp": {
        "drop scheduled": {"budget": _DROP, "warming": [_PING, {**_SCHEDULED, "leaseUntil": "2027-01-31"}]},
        "drop provisioned": {"budget": _DROP, "warming": [_PROVISIONED]},
        "extras": {**_EXTRAS, "image": _ARTIFACT, "endpoint.private": True, "budget": _BUDGET},
    },
}
_JUDGED_OF_PATTERN: Mapping[tuple[str, str], Mapping[str, Changes]] = {
    ("aws", "api"): {"jwt": {**_JWT, "cors": {"allowOrigins": ["https://app.example"]}}, "iam": {"auth.mode": "iam", **_NO_KEYS}},
    ("aws", "events"): {"narrowed": {"events.prefix": "in/", "events.results": ["table", "queue"]}},
    ("gcp", "events"): {"narrowed": {"events.prefix": "in/", "events.results": ["table", "queue"]}},
    ("gcp", "api"): {"jwt": {**_JWT, **_LATER, "auth.scopes": None, "auth.requestsPerSecond": None}},
}


def shown(stack: str) -> Mapping[str, Changes]:
    """Options of a stack that its page shows: words → changed settings."""
    return {**_SHOWN_OF_PATTERN[_cloud_and_pattern(stack)], **_SHOWN}


def judged(stack: str) -> Mapping[str, Changes]:
    """Variants of a stack that hold, together, everything that it can be made to make; itself under the empty name."""
    cloud, pattern = _cloud_and_pattern(stack)
    return {"": {}, **_JUDGED_OF_PATTERN[cloud, pattern], **_JUDGED[cloud]}


def _cloud_and_pattern(stack: str) -> tuple[str, str]:
    service = config_of(stack)["pilotlight:service"]
    return service["cloud"], service["pattern"]


@functools.cache
def plans(stack: str) -> Mapping[str, Plan]:
    """The plan of the ready stack under the empty name, and one for each option that its page shows."""
    return {"": plan(stack), **{words: plan(stack, changes) for words, changes in shown(stack).items()}}
