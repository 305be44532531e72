"""What a preview sees of what Google refuses: names, sizes, ranges, locations, before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.gcp.types import (
    ACCOUNT,
    API_CONFIG,
    API_KEY,
    BUCKET,
    BUCKET_OBJECT,
    CHANNEL,
    CUSTOM_ROLE,
    DATABASE,
    ENABLED,
    GATEWAY,
    JOB,
    NETWORK,
    PROJECT_MEMBER,
    REPOSITORY,
    RUN_SERVICE,
    SUBNETWORK,
    SUBSCRIPTION,
    TOPIC,
    TRIGGER,
)
from pilotlight.twin.settings import Settings
from tests.parts.twin.gcp.account import PROJECT, REGION, Account
from tests.parts.twin.gcp.declared import OPENAPI, container, encoded

MISSING = "serviceAccount:nobody@tried-project.iam.gserviceaccount.com"
FINALIZED = {"attribute": "type", "value": "google.cloud.storage.object.v1.finalized"}


def found(account: Account, token: str, inputs: dict[str, Any]) -> list[str]:
    return account.check(token, "judged", inputs)[1]


def run(change: dict[str, Any] | None = None, **template: Any) -> dict[str, Any]:
    """A service whose only container is changed so."""
    held = {**container("europe-west1-docker.pkg.dev/p/r/i"), **(change or {})}
    return {"location": REGION, "template": {"containers": [held], "scaling": {"maxInstanceCount": 2}, **template}}


def sized(**limits: str) -> dict[str, Any]:
    return {"resources": {"limits": limits, "cpuIdle": False}}


L4 = {"nodeSelector": {"accelerator": "nvidia-l4"}}
GPU = {"nvidia.com/gpu": "1"}

PREVIEWS: list[tuple[str, dict[str, Any], str]] = [
    (RUN_SERVICE, {**run(), "location": "europe-west99"}, "location: 'europe-west99' is no location that Google Cloud has: did you mean"),
    (RUN_SERVICE, {**run(), "name": "Upper"}, "name: 'Upper' is not allowed: use up to 49 lower-case letters"),
    (RUN_SERVICE, {**run(), "name": "a" * 50}, "use up to 49 lower-case letters"),
    (RUN_SERVICE, {**run(), "labels": {"Team": "a"}}, "labels: the key 'Team' is not allowed"),
    (RUN_SERVICE, {**run(), "labels": {"team": "A b"}}, "labels[\"team\"]: 'A b' is not allowed"),
    (RUN_SERVICE, run(sized(cpu="3", memory="2Gi")), "template.containers[0].resources.limits.cpu: 3: use 1, 2, 4, 6 or 8 vCPU"),
    (RUN_SERVICE, run(sized(cpu="1", memory="8Gi")), "8192 MiB with 1 vCPU: use 512 to 4096 MiB"),
    (RUN_SERVICE, run(sized(cpu="two", memory="2Gi")), "limits.cpu: 'two' is no quantity"),
    (RUN_SERVICE, run(sized(cpu="500m"), maxInstanceRequestConcurrency=2), "0.5 vCPU takes one request at a time"),
    (RUN_SERVICE, run(sized(cpu="2", memory="16Gi", **GPU), **L4), "cpu: 2 with an L4: use 4, 6 or 8 vCPU"),
    (RUN_SERVICE, run(sized(cpu="4", memory="8Gi", **GPU), **L4), "memory: 8192 MiB with an L4: use 16384 to 32768 MiB"),
    (RUN_SERVICE, run(sized(cpu="4", memory="16Gi", **GPU)), "template.nodeSelector.accelerator: None"),
    (RUN_SERVICE, run({"resources": {"limits": {"cpu": "4", "memory": "16Gi", **GPU}}}, **L4), "cpuIdle: a GPU is billed by the instance"),
    (
        RUN_SERVICE,
        {**run(sized(cpu="4", memory="16Gi", **GPU), **L4), "location": "europe-west3"},
        "'europe-west3' has no L4 for Cloud Run",
    ),
    (RUN_SERVICE, run(maxInstanceRequestConcurrency=1001), "maxInstanceRequestConcurrency: 1001: use 1 to 1000"),
    (RUN_SERVICE, run(timeout="3601s"), "template.timeout: '3601s' is out of range: use '1s' to '3600s'"),
    (RUN_SERVICE, run(timeout="60"), "template.timeout: '60' is no duration"),
    (RUN_SERVICE, run(scaling={"minInstanceCount": 3, "maxInstanceCount": 2}), "minInstanceCount: 3 is more than maxInstanceCount, 2"),
    (RUN_SERVICE, run(scaling={"cpuUtilization": 0.96}), "template.scaling.cpuUtilization: 0.96: use 0.1 to 0.95, or 0 (not by that)"),
    (RUN_SERVICE, run(scaling={"concurrencyUtilization": 0, "cpuUtilization": 0}), "are 0: nothing would tell of more instances"),
    (RUN_SERVICE, run({"envs": [{"name": "PORT", "value": "1"}]}), "PORT is set by Cloud Run itself"),
    (RUN_SERVICE, run({"envs": [{"name": "A", "value": "1"}] * 2}), "'A' is there twice"),
    (RUN_SERVICE, run({"startupProbe": {"periodSeconds": 10, "failureThreshold": 25, "tcpSocket": {"port": 1}}}), "a start may take 240 s"),
    (RUN_SERVICE, run({"startupProbe": {"tcpSocket": {"port": 1}, "httpGet": {"path": "/"}}}), "exclude each other"),
    (RUN_SERVICE, run({"livenessProbe": {"periodSeconds": 1}}), "none is given: use exactly one of them"),
    (RUN_SERVICE, run({"readinessProbe": {"tcpSocket": {"port": 1}}}), "readinessProbe.grpc: none is given"),
    (RUN_SERVICE, run({"readinessProbe": {"grpc": {}, "timeoutSeconds": 11}}), "readinessProbe.timeoutSeconds or"),
    (RUN_SERVICE, run(vpcAccess={"networkInterfaces": [{"tags": ["a"]}]}), "names neither network nor subnetwork"),
    (RUN_SERVICE, {**run(), "deletionPolicy": "KEEP"}, "deletionPolicy: 'KEEP' is not allowed: use one of DELETE, PREVENT, ABANDON"),
    (ACCOUNT, {"accountId": "short"}, "accountId: 'short' is not allowed: use 6 to 30 lower-case letters"),
    (ACCOUNT, {"accountId": "a" * 31}, "use 6 to 30"),
    (ACCOUNT, {"accountId": "good-account", "description": "x" * 257}, "description: has 257 bytes"),
    (BUCKET, {"location": REGION, "name": "Bad_Name!"}, "is no bucket name"),
    (BUCKET, {"location": REGION, "name": "a" * 64}, "has 64 characters: use 3 to 63"),
    (BUCKET, {"location": REGION, "name": "goog-bucket"}, "must not begin with 'goog'"),
    (BUCKET, {"location": REGION, "name": "10.0.0.1"}, "no IP address"),
    (BUCKET, {"location": "nowhere", "name": "bucket"}, "location: 'nowhere' is no location"),
    (BUCKET, {"location": REGION, "softDeletePolicy": {"retentionDurationSeconds": 60}}, "60: use 0, or 604800 to 7776000"),
    (
        BUCKET,
        {"location": REGION, "lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"createdBefore": "2026-02-31"}}]},
        "lifecycleRules[0].condition.createdBefore: '2026-02-31' is no date",
    ),
    (BUCKET_OBJECT, {"bucket": "b", "name": "a"}, "source or content: none is given"),
    (BUCKET_OBJECT, {"bucket": "b", "name": "a" * 1025, "content": "x"}, "name: has 1025 bytes"),
    (TOPIC, {"name": "goog-topic"}, "not with 'goog'"),
    (TOPIC, {"messageRetentionDuration": "60s"}, "out of range: use '600s'"),
    (SUBSCRIPTION, {"topic": "t", "ackDeadlineSeconds": 5}, "ackDeadlineSeconds: 5 is out of range: use 10 to 600"),
    (SUBSCRIPTION, {"topic": "t", "deadLetterPolicy": {"maxDeliveryAttempts": 3}}, "maxDeliveryAttempts: 3 is out of range: use 5 to 100"),
    (SUBSCRIPTION, {"topic": "t", "retryPolicy": {"maximumBackoff": "601s"}}, "retryPolicy.maximumBackoff: '601s' is out of range"),
    (
        SUBSCRIPTION,
        {"topic": "t", "pushConfig": {"pushEndpoint": "https://x"}, "bigqueryConfig": {"table": "t"}},
        "pushConfig, bigqueryConfig: exclude each other",
    ),
    (REPOSITORY, {"repositoryId": "Images", "format": "DOCKER"}, "repositoryId: 'Images' is not allowed"),
    (DATABASE, {"name": "abc", "locationId": REGION, "type": "FIRESTORE_NATIVE"}, "use 4 to 63"),
    (DATABASE, {"name": "good", "locationId": "mars", "type": "FIRESTORE_NATIVE"}, "locationId: 'mars' is no location"),
    (JOB, {"schedule": "0 8 * *", "httpTarget": {"uri": "https://x"}}, "has 4 fields"),
    (JOB, {"schedule": "61 8 * * *", "httpTarget": {"uri": "https://x"}}, "'61' is no minute: use 0 to 59"),
    (JOB, {"schedule": "0 8 * * fri-mon", "httpTarget": {"uri": "https://x"}}, "'fri-mon' is no weekday"),
    (JOB, {"schedule": "0 8 * * *"}, "none is given: use exactly one of them"),
    (JOB, {"httpTarget": {"uri": "https://x"}}, "schedule: is missing"),
    (JOB, {"schedule": "0 8 * * *", "timeZone": "Mars/Base", "httpTarget": {"uri": "https://x"}}, "'Mars/Base' is no time zone"),
    (JOB, {"schedule": "0 8 * * *", "attemptDeadline": "5s", "httpTarget": {"uri": "https://x"}}, "use '15s' to '1800s'"),
    (JOB, {"schedule": "0 8 * * *", "httpTarget": {"uri": "https://x", "body": "{}"}}, "httpTarget.body: is no base64 text"),
    (TRIGGER, {"location": REGION, "destination": {}, "matchingCriterias": []}, "none is about `type`"),
    (
        TRIGGER,
        {"location": REGION, "destination": {"workflow": "w"}, "matchingCriterias": [FINALIZED]},
        "none is about `bucket`, which events of Cloud Storage need",
    ),
    (
        TRIGGER,
        {
            "location": REGION,
            "destination": {"workflow": "w"},
            "matchingCriterias": [{"attribute": "type", "value": "google.cloud.storage.object.v1.created"}],
        },
        "is no event: use google.cloud.storage.object.v1. with one of finalized",
    ),
    (GATEWAY, {"gatewayId": "g", "apiConfig": "c", "region": "europe-west3"}, "'europe-west3' has no API Gateway: use asia-northeast1"),
    (API_CONFIG, {"api": "a", "openapiDocuments": [{"document": {"path": "a", "contents": "{}"}}]}, "is no base64 text"),
    (API_CONFIG, {"api": "a", "openapiDocuments": [{"document": {"path": "a", "contents": encoded({})}}]}, "is no OpenAPI document"),
    (
        API_CONFIG,
        {"api": "a", "openapiDocuments": [{"document": {"path": "a", "contents": encoded({**OPENAPI, "paths": {"/": {"get": {}}}})}}]},
        "get / has no operationId",
    ),
    (API_KEY, {"name": "Key_1"}, "name: 'Key_1' is not allowed"),
    (CUSTOM_ROLE, {"title": "t", "permissions": ["run.services.get"]}, "a generated name has a hyphen"),
    (CUSTOM_ROLE, {"roleId": "role", "title": "t", "permissions": ["run.*"]}, "'run.*' is no permission"),
    (PROJECT_MEMBER, {"project": PROJECT, "role": "roles/owner", "member": MISSING}, "is a basic role"),
    (PROJECT_MEMBER, {"project": PROJECT, "role": "roles/run.invokr", "member": MISSING}, "is not known to the local twin"),
    (PROJECT_MEMBER, {"project": PROJECT, "role": "roles/run.invoker", "member": "me@example.com"}, "is no principal: use serviceAccount:"),
    (
        PROJECT_MEMBER,
        {
            "project": PROJECT,
            "role": "roles/run.invoker",
            "member": MISSING,
            "condition": {"title": "t", "expression": "resource.labels.a == 'b'"},
        },
        "condition.expression: resource.labels is not known to the local twin",
    ),
    (SUBNETWORK, {"network": "n", "ipCidrRange": "10.0.0.0/30"}, "is no range for a subnetwork"),
    (NETWORK, {"mtu": 9000}, "mtu: 9000 is out of range: use 1300 to 8896"),
    (CHANNEL, {"type": "email", "labels": {}}, "has no 'email_address'"),
    (CHANNEL, {"type": "fax"}, "'fax' is no type of channel"),
    (ENABLED, {"service": "run"}, "use its whole name, as run.googleapis.com"),
]


@pytest.mark.parametrize(
    ("token", "inputs", "expected"), PREVIEWS, ids=[f"{token.split(':')[-1]}-{text[:40]}" for token, _, text in PREVIEWS]
)
def test_a_preview_says_what_is_wrong(account: Account, token: str, inputs: dict[str, Any], expected: str) -> None:
    problems = found(account, token, inputs)
    assert any(expected in text for text in problems), problems


def test_a_project_that_nobody_named_is_asked_for(account: Account) -> None:
    account.settings = Settings()
    assert "project: is missing: set it with `pulumi config set gcp:project PROJECT`, or in the environment as GOOGLE_PROJECT." in found(
        account, TOPIC, {}
    )
    (problem,) = [text for text in found(account, REPOSITORY, {"repositoryId": "a", "format": "DOCKER"}) if text.startswith("location")]
    assert "gcp:region" in problem
    account.settings = Settings(defaults={"project": "Tried"})
    assert any("'Tried' is no project id" in text for text in found(account, TOPIC, {}))
