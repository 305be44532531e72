"""Settings on Google Cloud: what is taken, what is refused with the alternative, and how a stack file of AWS becomes one."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
import yaml

from components.capabilities import CLOUD_SETTINGS, PLATFORM_SETTINGS, UNSUPPORTED_SETTINGS, common
from components.platforms import CLOUDS
from pilotlight.planned import ROOT, changed, config_of
from stacks.service import event_chain
from stacks.settings import load_settings, parse
from tests.support.common_settings import leaves, without_what_is_not_common

API = "gcp-cloud-run-api"
PLACE = {"gcp:project": "my-project", "gcp:region": "europe-west1"}
L4 = {"endpoint.gpu": "l4", "endpoint.memoryMb": 16_384, "image.build.target": "gpu"}


def complaints(changes: Mapping[str, Any], place: Mapping[str, str | None] = PLACE, stack: str = API) -> list[str]:
    """The sentences that the changed stack is refused with."""
    with pytest.raises(pulumi.RunError) as refused:
        parse(changed(config_of(stack)["pilotlight:service"], changes), stack, place)
    return str(refused.value).split("\n  ")[1:]


def taken(changes: Mapping[str, Any]) -> Any:
    return parse(changed(config_of(API)["pilotlight:service"], changes), API, PLACE)


CASES: list[tuple[dict[str, Any], str]] = [
    (
        {"cloud": "aws", "accessLogs": {"accountRole": "create"}},
        "endpoint.platform: 'gcp-cloud-run': not in cloud 'aws': use aws-lambda or aws-sagemaker, or cloud gcp",
    ),
    (
        {"auth.burst": 40},
        "auth.burst: 40: not in cloud 'gcp': calls are counted by the minute: leave it out, auth.requestsPerSecond bounds them "
        "(API Gateway documentation (Google), quotas overview)",
    ),
    ({"auth.dailyQuota": 1000}, "auth.dailyQuota: 1000: not in cloud 'gcp': calls are counted by the minute, not by the day"),
    (
        {"auth.mode": "iam", "auth.requestsPerSecond": None},
        "auth.mode: 'iam': not in cloud 'gcp': API Gateway checks keys and tokens: use jwt",
    ),
    ({"cors": {"allowOrigins": ["https://a.example"]}}, "cors: "),
    (
        {"answers": {"stream": True}},
        "answers.stream: true: not in cloud 'gcp' yet: API Gateway streams in a preview only, which Pulumi's provider can't turn on: "
        "leave it out, an answer comes as a whole (API Gateway documentation (Google), configure streaming, 2026-11)",
    ),
    ({"logs": {"retentionDays": 30}}, "logs.retentionDays: 30: not in cloud 'gcp': log buckets belong to the project"),
    ({"function": {"reservedConcurrency": 3}}, "function.reservedConcurrency: 3: not in cloud 'gcp': nothing is reserved there"),
    ({"function": {"pollingSeconds": 5}}, "function.pollingSeconds: 5: not in cloud 'gcp': messages are brought to the function at once"),
    ({"function": {"memoryMb": 256}}, "function.memoryMb: 256: use 512 to 4096 MiB"),
    (
        {"auth.mode": "jwt", "auth.issuer": "https://i.example", "auth.audience": ["a"]},
        "auth.requestsPerSecond: 20.0: not with auth.mode 'jwt': API Gateway counts the calls of a key",
    ),
    ({"auth.requestsPerSecond": 60_000}, "auth.requestsPerSecond: 60000.0: use 1 to 50000 requests a second"),
    # Ten requests at a time are five instances of two, and each ping holds the place of one request.
    (
        {"warming": [{"kind": "provisioned", "instances": 6}]},
        "warming.0.instances: 6: use 1 to 5, which is endpoint.maxConcurrency over 2 requests of an instance, or raise that: no more can "
        "be kept than may run (Cloud Run documentation, minimum instances)",
    ),
    (
        {"endpoint.maxConcurrency": 1000, "warming": [{"kind": "ping", "everyMinutes": 5, "parallel": 48}]},
        "warming.0.parallel: 48: use 1 to 47: one function sends them all",
    ),
    (
        {"warming": [{"kind": "ping", "everyMinutes": 15}]},
        "warming.0.everyMinutes: 15: use 1 to 14 minutes (Cloud Run documentation, instance autoscaling), or a scheduled or provisioned "
        "rule",
    ),
    (
        {**L4, "warming": [{"kind": "ping", "everyMinutes": 10, "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI"}]},
        "warming.0.everyMinutes: 10: within a window use 1, 2, 3, 4, 5, 6 (Cloud Run documentation, instance autoscaling: with a GPU)",
    ),
    (
        {"warming": [{"kind": "ping", "everyMinutes": 7, "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI"}]},
        "warming.0.everyMinutes: 7: within a window use 1, 2, 3, 4, 5, 6, 10, 12, or leave cron and until out",
    ),
    (
        {"image.registry": "premium"},
        "image.registry: 'premium': not in cloud 'gcp': its registry has no tiers: leave it out (Amazon ECR pricing; Artifact Registry "
        "pricing)",
    ),
    ({"endpoint.cpu": 3}, "endpoint.cpu: 3: use 1, 2, 4, 6 or 8 vCPU (Cloud Run documentation, CPU limits)"),
    ({"endpoint.memoryMb": 256}, "endpoint.memoryMb: 256 for 'gcp-cloud-run': use 512 to 32768 MiB"),
    (
        {"endpoint.memoryMb": 16_384},
        "endpoint.memoryMb: 16384: use 512 to 8192 MiB with 2 vCPU (Cloud Run documentation, CPU limits), or endpoint.cpu 4 or 6 or 8",
    ),
    ({"endpoint.cpu": 4, "endpoint.memoryMb": 1024}, "endpoint.memoryMb: 1024: use 2048 to 16384 MiB with 4 vCPU"),
    ({"endpoint.maxConcurrency": 3000}, "endpoint.maxConcurrency: 3000: that is 1500 instances of 2 requests: use 1 to 2000"),
    (
        {"endpoint": {"platform": "gcp-cloud-run", "maxConcurrency": None}},
        "endpoint.maxConcurrency: null for 'gcp-cloud-run': use 1 to 1000000",
    ),
    ({"endpoint.requestsPerInstance": 1001}, "endpoint.requestsPerInstance: 1001: use 1 to 1000 requests on one instance"),
    ({"endpoint.batchSize": 0}, "endpoint.batchSize: 0: use 1 to 1024 inputs (Pilotlight's model server"),
    ({"endpoint.batchWaitMs": 501}, "endpoint.batchWaitMs: 501: use 0 to 500 ms (Pilotlight's model server"),
    (
        {"endpoint.batchWaitMs": 5, "endpoint.requestsPerInstance": 1},
        "endpoint.batchWaitMs: 5: an instance has one request at a time, so that nobody else comes: raise endpoint.requestsPerInstance",
    ),
    ({"endpoint.workers": 65}, "endpoint.workers: 65: use 1 to 64 processes (Pilotlight's model server"),
    ({"endpoint.workers": 3}, "endpoint.workers: 3: an instance has 2 requests at a time: raise endpoint.requestsPerInstance"),
    (
        {**L4, "endpoint.workers": 2},
        "endpoint.workers: 2: one process keeps a GPU busy, and each has the model in its memory: leave it out",
    ),
    ({"endpoint.cooldownSeconds": 60}, "endpoint.cooldownSeconds: 60: not on 'gcp-cloud-run': the platform decides how long an idle"),
    ({"endpoint.scaleAtRequests": 96}, "endpoint.scaleAtRequests: 96: use 10 to 95 %, or 0 (Cloud Run documentation, custom scaling"),
    ({"endpoint.scaleAtCpu": 9}, "endpoint.scaleAtCpu: 9: use 10 to 95 %, or 0 (Cloud Run documentation, custom scaling"),
    (
        {"endpoint.scaleAtRequests": 0, "endpoint.scaleAtCpu": 0},
        "endpoint.scaleAtRequests and endpoint.scaleAtCpu: 0: without both nothing tells of more: use 10 to 95 % for one",
    ),
    ({"endpoint.maxBodyBytes": 32_000_001}, "endpoint.maxBodyBytes: 32000001 for 'gcp-cloud-run': use 0 to 32000000 bytes"),
    ({"endpoint.coldStartSeconds": 50}, "endpoint: a cold start of 50 s and a prediction of 10 s take 60 s, but 58 s are left"),
    ({"endpoint.gpu": "l4", "endpoint.memoryMb": 16_384}, "image.build.target: 'cpu': endpoint.gpu is l4: use gpu, or gpu-torch"),
    ({"image.build.target": "gpu"}, "image.build.target: 'gpu': there is no endpoint.gpu: use cpu, or set endpoint.gpu"),
    (
        {**L4, "endpoint.cpu": 2},
        "endpoint.cpu: 2 with endpoint.gpu l4: use 4, 6 or 8 vCPU (Cloud Run documentation, GPU support for services)",
    ),
    (
        {**L4, "model.engine": "torch"},
        "model.engine: 'torch': the image 'gpu' holds onnxruntime only: use onnx, image.build.target gpu-torch with endpoint.gpu",
    ),
    (
        {**L4, "image.build.target": "gpu-torch"},
        "model.engine: 'onnx': the image 'gpu-torch' holds torch alone: use torch, or image.build.target gpu",
    ),
    (
        {"image.build.target": "gpu-torch", "model.engine": "torch"},
        "image.build.target: 'gpu-torch': there is no endpoint.gpu: use cpu, or set endpoint.gpu",
    ),
    (
        {**L4, "model.quantize": "int8"},
        "model.quantize: 'int8': a GPU would leave its products to the CPU: use fp16, or leave endpoint.gpu",
    ),
    ({**L4, "endpoint.memoryMb": 8192}, "endpoint.memoryMb: 8192 with endpoint.gpu l4: use 16384 to 32768 MiB"),
    ({**L4, "endpoint.cpu": 4, "endpoint.memoryMb": 32_768}, "endpoint.memoryMb: 32768: use 2048 to 16384 MiB with 4 vCPU"),
    (
        {"endpoint.gpu": "t4", "image.build.target": "gpu"},
        "endpoint.gpu: 't4': not on 'gcp-cloud-run': use l4, or endpoint.platform azure-container-apps (Cloud Run documentation",
    ),
    ({"endpoint.gpu": "h100"}, "endpoint.gpu: 'h100': did you mean a100? use l4 or t4 or a100"),
    ({"endpoint.zonalRedundancy": True}, "endpoint.zonalRedundancy: true: it is a setting of GPUs"),
    ({"image": {"uri": "docker.io/a/b@sha256:" + "a" * 64}}, "use <location>-docker.pkg.dev/<project>/<repository>/<image>@sha256:"),
    ({"tags": {"Team": "search"}}, "tags.Team: 'search': labels are lower-case letters, digits, _ and -, up to 63 of each"),
    ({"tags": {"team": "research & more"}}, "tags.team: 'research & more': labels are lower-case"),
    ({"tags": {"team": "a" * 64}}, "tags.team: "),
]


@pytest.mark.parametrize(("changes", "told"), CASES, ids=[told[:40] for _, told in CASES])
def test_one_mistake_is_one_sentence(changes: dict[str, Any], told: str) -> None:
    found = complaints(changes)
    assert len(found) == 1, found
    assert told in found[0]


def test_the_bound_of_a_budgets_notifications_is_that_of_aws_alone() -> None:
    shares = [0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
    assert taken({"budget": {"monthlyUsd": 100, "email": "ops@example.com", "alertAt": shares}}).budget.alert_at == shares


EVENT_CASES: list[tuple[dict[str, Any], str]] = [
    ({"events.batchSize": 10}, "events.batchSize: 10: not in cloud 'gcp': events come one by one: leave it out (Eventarc documentation"),
    ({"events.batchWindowSeconds": 5}, "events.batchWindowSeconds: 5: not in cloud 'gcp': events come one by one, at once"),
    ({"events.visibilitySeconds": 500}, "events.visibilitySeconds: 500: not in cloud 'gcp': a failed event comes again"),
    ({"events.maxAttempts": 141}, "events.maxAttempts: 141: use 1 to 140 times (Eventarc documentation, retry events)"),
    ({"events.maxConcurrency": 0}, "events.maxConcurrency: 0: use 1 to 1000"),
    (
        {"events.maxConcurrency": 11},
        "events.maxConcurrency: 11: more than endpoint.maxConcurrency 10: use 1 to 10, or raise endpoint.maxConcurrency (Cloud Run",
    ),
    ({"events.maxObjectBytes": 100_000_000}, "or raise function.memoryMb (Cloud Run documentation, memory limits)"),
    (
        {"endpoint.coldStartSeconds": 600},
        "endpoint: the function behind the queue needs 614 s for a cold start and a prediction: use 10 to 600 s",
    ),
    (
        {"events.requestsPerObject": 54},
        "events.requestsPerObject: 54: a cold start of 12 s and 54 requests of up to 10 s each need 609 s, a function may run for 600 s: "
        "use 1 to 53, or lower endpoint.predictSeconds (Pub/Sub",
    ),
]


@pytest.mark.parametrize(("changes", "told"), EVENT_CASES, ids=[told[:40] for _, told in EVENT_CASES])
def test_one_mistake_of_a_pipeline_is_one_sentence(changes: dict[str, Any], told: str) -> None:
    found = complaints(changes, stack="gcp-cloud-run-events")
    assert len(found) == 1, found
    assert told in found[0]


@pytest.mark.parametrize(("each", "function_s"), [(1, 26), (3, 48), (53, 598)])
def test_the_function_has_time_for_the_requests_of_one_object_since_events_come_one_by_one(each: int, function_s: int) -> None:
    service = changed(config_of("gcp-cloud-run-events")["pilotlight:service"], {"events.requestsPerObject": each})
    settings = parse(service, "s", PLACE)
    assert event_chain(settings, settings.events).function_s == function_s


def test_a_pipeline_needs_no_gateway_in_its_region() -> None:
    service = config_of("gcp-cloud-run-events")["pilotlight:service"]
    assert parse(service, "s", {"gcp:project": "p", "gcp:region": "europe-west3"}).pattern == "events"


PLACES: list[tuple[dict[str, str | None], dict[str, Any], str]] = [
    ({"gcp:region": "europe-west1"}, {}, "gcp:project: missing beside pilotlight:service: use `gcp:project: my-project`, say"),
    ({"gcp:project": "p"}, {}, "gcp:region: missing beside pilotlight:service"),
    (
        {"gcp:project": "p", "gcp:region": "europe-west3"},
        {},
        "gcp:region: 'europe-west3': API Gateway is not there: use asia-northeast1, australia-southeast1, europe-west1",
    ),
    (
        {"gcp:project": "p", "gcp:region": "europe-west2"},
        L4,
        "endpoint.gpu: 'l4': not in 'europe-west2': use asia-southeast1, europe-west1, europe-west4, us-central1 or us-east4 as gcp:region "
        "(Cloud Run documentation, GPU support for services, 2025-06)",
    ),
]


@pytest.mark.parametrize(("place", "changes", "told"), PLACES, ids=[told[:40] for *_, told in PLACES])
def test_a_place_that_is_missing_or_lacks_something_is_refused(place: dict[str, str | None], changes: dict[str, Any], told: str) -> None:
    found = complaints(changes, place)
    assert len(found) == 1, found
    assert found[0].startswith(told)


def test_all_mistakes_come_at_once() -> None:
    changes = {"auth.burst": 1, "auth.dailyQuota": 2, "endpoint.gpu": "l4", "endpoint.cpu": 2, "logs.retentionDays": 30}
    found = complaints({**changes, "endpoint.maxBodyBytes": 33_000_000}, {"gcp:region": "europe-west2"})
    assert sorted(each.split(":")[0] for each in found) == [
        "auth.burst",
        "auth.dailyQuota",
        "endpoint.cpu",
        "endpoint.gpu",
        "endpoint.maxBodyBytes",
        "endpoint.memoryMb",
        "gcp",
        "image.build.target",
        "logs.retentionDays",
    ]


def test_a_gpu_brings_its_own_defaults() -> None:
    from components.platform_facts import PLATFORM_FACTS
    from stacks.sizes import cold_start_s, instance

    facts = PLATFORM_FACTS["gcp-cloud-run"]
    plain, gpu = taken({}).endpoint, taken(L4).endpoint
    sizes = [instance(each, facts) for each in (plain, gpu)]
    assert [(each.cpu, each.requests, each.gpu) for each in sizes if each is not None] == [(2, 2, None), (8, 8, "l4")]
    assert (cold_start_s(plain, facts), cold_start_s(gpu, facts)) == (12, 30)


def test_the_program_asks_the_providers_own_config() -> None:
    service = config_of(API)["pilotlight:service"]
    pulumi.runtime.set_all_config({"pilotlight:service": json.dumps(service), "gcp:project": "p"})
    with pytest.raises(pulumi.RunError, match="gcp:region: missing"):
        load_settings(API)
    pulumi.runtime.set_all_config({})


def test_what_is_common_is_more_than_the_essentials() -> None:
    service = config_of("aws-sagemaker-api")["pilotlight:service"]
    kept = leaves(without_what_is_not_common(service, ("aws", "gcp")))
    assert {"pattern", "model.source", "image.build.target", "endpoint.memoryMb", "endpoint.maxConcurrency", "auth.mode"} <= set(kept)
    assert {"answers.async", "answers.keepHours", "auth.requestsPerSecond", "accessLogs.accountRole"} <= set(kept)
    assert set(leaves(service)) - set(kept) == {"auth.burst", "auth.dailyQuota"}
    assert not common("endpoint.gpu")
    # Google's gateway counts calls of keys alone.
    assert common("auth.requestsPerSecond", "api-key", ("aws", "gcp"))
    assert not common("auth.requestsPerSecond", "jwt", ("aws", "gcp"))


def test_every_row_says_what_to_use_instead_and_where_that_stands() -> None:
    assert all(row.instead and row.source and row.without for row in CLOUD_SETTINGS)
    assert all(row.instead and row.source and row.without for row in PLATFORM_SETTINGS)
    assert all(row.instead and row.source for row in UNSUPPORTED_SETTINGS)


def test_what_nobody_has_yet_is_refused_in_every_cloud() -> None:
    by_setting = {row.setting: {each.cloud for each in UNSUPPORTED_SETTINGS if each.setting == row.setting} for row in UNSUPPORTED_SETTINGS}
    assert by_setting == {"answers.stream": set(CLOUDS)}
    assert not common("answers.stream")


def test_a_stream_that_is_not_asked_for_is_no_mistake() -> None:
    assert taken({"answers": {"async": True, "stream": False}}).answers.async_
    assert not taken({"answers": {"stream": False}}).answers.async_


def test_the_ready_stack_names_a_project_that_is_nobodys() -> None:
    config = yaml.safe_load((ROOT / f"stacks/Pulumi.{API}.yaml").read_text())["config"]
    assert (config["gcp:project"], config["gcp:region"]) == ("my-project", "europe-west1")
