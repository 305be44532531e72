"""Settings that change what a stack makes, in words and as changes: for the pages, and for the tests that judge every variant."""

import functools
from collections.abc import Mapping
from typing import Any

from components.limits_azure import API_MANAGEMENT_DEFAULT_TIER, API_MANAGEMENT_TIERS
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
_COSMOS: Changes = {"events.resultsTable": "cosmos"}
_LATER: Changes = {"answers": {"async": True, "keepHours": 24}}
# Nothing later: what starts from zero must then be there while the gateway waits.
_AT_ONCE: Changes = {"answers": None, "endpoint.coldStartSeconds": 1, "endpoint.predictSeconds": 5}
_KEPT: Changes = {"logs": {"retentionDays": 90}}
_PLACED: Changes = {"network": {"addresses": "10.8.0.0/26"}}
_HUB = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub"
_SUBNET = f"{_HUB}/providers/Microsoft.Network/virtualNetworks/spoke/subnets/models"
_OF_AZURE: Mapping[str, Changes] = {
    "`logs.retentionDays` of 90": _KEPT,
    "`image.registry: premium`": {"image.registry": "premium"},
    "`network`": _PLACED,
}
_TIERS: Mapping[str, Changes] = {
    f"`gateway.tier: {tier}`": {"gateway.tier": tier} for tier in API_MANAGEMENT_TIERS if tier != API_MANAGEMENT_DEFAULT_TIER
}
_SHOWN_OF_PATTERN: Mapping[tuple[str, str], Mapping[str, Changes]] = {
    ("aws", "api"): {},
    ("aws", "events"): _QUEUE,
    ("gcp", "api"): {"`answers`": _LATER},
    ("gcp", "events"): _QUEUE,
    ("azure", "api"): {"`answers`": _LATER, **_OF_AZURE, **_TIERS},
    ("azure", "events"): {**_QUEUE, "`events.resultsTable: cosmos`": _COSMOS, **_OF_AZURE},
}
# Cloud by cloud, what is not there yet.
_MISSING: Mapping[str, tuple[str, ...]] = {}
# What makes every other role, policy and resource that there is, in as few variants as may stand together.
_EVERYTHING = [{**_PING, **_WINDOW}, {**_SCHEDULED, "leaseUntil": "2027-01-31"}, _PROVISIONED]
_EXTRAS = {"alarms.email": "ops@example.com", "dashboard": True, "dataRetention": "keep"}
_ECR = {"uri": "444455556666.dkr.ecr.us-east-1.amazonaws.com/served@sha256:" + "e" * 64}
_ACR = {"uri": "others.azurecr.io/served@sha256:" + "e" * 64}
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
    "azure": {
        "drop scheduled": {"budget": _DROP, "warming": [_PING, {**_SCHEDULED, "leaseUntil": "2027-01-31"}]},
        "extras": {**_EXTRAS, "tracing": True, "image": _ACR, "budget": _BUDGET, **_KEPT, **_PLACED, "warming": _EVERYTHING},
        "t4": {"endpoint.gpu": "t4", "endpoint.memoryMb": 57_344, "image.build.target": "gpu"},
        "subnet": {"network": {"subnetId": _SUBNET}},
    },
}
_JUDGED_OF_PATTERN: Mapping[tuple[str, str], Mapping[str, Changes]] = {
    ("aws", "api"): {"jwt": {**_JWT, "cors": {"allowOrigins": ["https://app.example"]}}, "iam": {"auth.mode": "iam", **_NO_KEYS}},
    ("aws", "events"): {"narrowed": {"events.prefix": "in/", "events.results": ["table", "queue"]}},
    ("gcp", "events"): {"narrowed": {"events.prefix": "in/", "events.results": ["table", "queue"]}},
    ("gcp", "api"): {"jwt": {**_JWT, **_LATER, "auth.scopes": None, "auth.requestsPerSecond": None}},
    ("azure", "api"): {
        "jwt": {**_JWT, "cors": {"allowOrigins": ["https://app.example"]}, "auth.requestsPerSecond": None},
        "at once": _AT_ONCE,
        "jwt standard": {**_JWT, "auth.dailyQuota": 1000, "gateway.tier": "standard"},
    },
    ("azure", "events"): {
        "narrowed": {"events.prefix": "in/", "events.suffixes": [".txt"], "events.results": ["table", "queue"]},
        "cosmos": {**_COSMOS, "events.results": ["table", "queue"], "dataRetention": "keep"},
    },
}


def shown(stack: str) -> Mapping[str, Changes]:
    """Options of a stack that its page shows: words → changed settings."""
    cloud, pattern = _cloud_and_pattern(stack)
    every = {**_SHOWN_OF_PATTERN[cloud, pattern], **_SHOWN}
    return {words: changes for words, changes in every.items() if changes.keys().isdisjoint(_MISSING.get(cloud, ()))}


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
