"""Settings on Azure: what is taken, and what is refused with the alternative."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from components import subnets
from components.capabilities import CLOUD_NEEDS, common
from components.platform_facts import PLATFORM_FACTS
from pilotlight.planned import changed, config_of
from stacks.settings import load_settings, parse
from stacks.sizes import cold_start_s, instance, model_bytes

API, EVENTS, PLATFORM = "azure-container-apps-api", "azure-container-apps-events", "azure-container-apps"
PLACE = {"azure-native:location": "westeurope", "azure-native:subscriptionId": "00000000-0000-0000-0000-000000000001"}
T4 = {"endpoint.gpu": "t4", "endpoint.memoryMb": 57_344, "endpoint.coldStartSeconds": 15, "image.build.target": "gpu"}
A100 = {**T4, "endpoint.gpu": "a100", "endpoint.memoryMb": 225_280}
JWT = {"auth": {"mode": "jwt", "issuer": "https://i.example", "audience": ["a"]}}
SUBNET = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
GIB = 1024**3


def complaints(changes: Mapping[str, Any], place: Mapping[str, str | None] = PLACE, stack: str = API) -> list[str]:
    """The sentences that the changed stack is refused with."""
    with pytest.raises(pulumi.RunError) as refused:
        parse(changed(config_of(stack)["pilotlight:service"], changes), stack, place)
    return str(refused.value).split("\n  ")[1:]


def taken(changes: Mapping[str, Any], place: Mapping[str, str | None] = PLACE) -> Any:
    return parse(changed(config_of(API)["pilotlight:service"], changes), API, place)


CASES: list[tuple[dict[str, Any], str]] = [
    (
        {"cloud": "aws", "accessLogs": {"accountRole": "create"}},
        "endpoint.platform: 'azure-container-apps': not in cloud 'aws': use aws-lambda or aws-sagemaker, or cloud azure",
    ),
    # What the gateway needs and has not.
    (
        {"gateway": None},
        "gateway: missing in cloud 'azure': use a mapping with publisherEmail, publisherName, tier: API Management names who publishes and "
        "writes to them (API Management REST API, ApiManagementService: publisherEmail, publisherName)",
    ),
    ({"gateway": {"publisherName": "Me"}}, "gateway.publisherEmail: missing: use one address, name@example.com"),
    ({"gateway.publisherEmail": "me"}, "gateway.publisherEmail: 'me': use one address, name@example.com"),
    ({"gateway.publisherName": ""}, "gateway.publisherName: '': use a name, 1 to 100 characters"),
    (
        {"auth.mode": "iam", "auth.requestsPerSecond": None, "auth.dailyQuota": None},
        "auth.mode: 'iam': not in cloud 'azure': API Management knows no request that AWS credentials signed: use jwt",
    ),
    ({"auth.burst": 40}, "auth.burst: 40: not in cloud 'azure': calls are counted in windows of seconds: leave it out"),
    (
        {"auth": {**JWT["auth"], "dailyQuota": 9}},
        "auth.dailyQuota: 9: not with auth.mode 'jwt': quotas by anything but a key are in API Management's classic tiers alone "
        "(quota-by-key): use auth.mode api-key, or gateway.tier developer, basic or standard, or leave it out (API Management "
        "documentation, policy reference (2024-05))",
    ),
    (
        {"auth": {**JWT["auth"], "dailyQuota": 9}, "gateway.tier": "standard-v2"},
        "auth.dailyQuota: 9: not with auth.mode 'jwt': quotas by anything but a key are in API Management's classic tiers alone",
    ),
    ({"gateway.tier": "premium"}, "gateway.tier: 'premium': use consumption or developer or basic or standard or basic-v2 or standard-v2"),
    (
        {"auth": {**JWT["auth"], "requestsPerSecond": 9}},
        "auth.requestsPerSecond: 9.0: not with auth.mode 'jwt': rates by anything but a key are not in API Management's Consumption tier "
        "(rate-limit-by-key): use auth.mode api-key, another gateway.tier, or leave it out",
    ),
    ({"auth.scopes": ["predict"]}, "auth.scopes: ['predict']: not with auth.mode 'api-key': token scopes belong to auth.mode jwt"),
    (
        {"cors": {"allowOrigins": ["https://a.example"]}},
        "cors.allowOrigins: ['https://a.example']: not with auth.mode 'api-key': a key in a browser is not a secret",
    ),
    ({"auth.dailyQuota": 0}, "auth.dailyQuota: 0: use 1 to 2147483647 requests a day (API Management documentation, quota policy)"),
    ({"auth.requestsPerSecond": 0.5}, "auth.requestsPerSecond: 0.5: use 1 to 214748364 requests a second (API Management"),
    # Sizes.
    ({"endpoint.memoryMb": 2000}, "endpoint.memoryMb: 2000 for 'azure-container-apps': use 512, 1024, 1536"),
    ({"endpoint.memoryMb": 8704}, "endpoint.memoryMb: 8704 for 'azure-container-apps': use 512"),
    (
        {"endpoint.cpu": 2},
        "endpoint.cpu: 2: use 1 with endpoint.memoryMb 2048, or leave it out (Container Apps documentation, containers: combinations of "
        "vCPUs and memory, 2 GiB for each vCPU)",
    ),
    ({"endpoint.cpu": 5}, "endpoint.cpu: 5: use 0 to 4 vCPU, in quarters"),
    ({"function": {"memoryMb": 300}}, "function.memoryMb: 300: use 512, 1024"),
    ({"function": {"reservedConcurrency": 3}}, "function.reservedConcurrency: 3: not in cloud 'azure': nothing is reserved there"),
    ({"endpoint.maxConcurrency": 3000}, "endpoint.maxConcurrency: 3000: that is 1500 instances of 2 requests: use 1 to 2000"),
    ({"endpoint.requestsPerInstance": 1001}, "endpoint.requestsPerInstance: 1001: use 1 to 1000 requests on one replica"),
    ({"endpoint.maxBodyBytes": 2_097_153}, "endpoint.maxBodyBytes: 2097153 for 'azure-container-apps': use 0 to 2097152 bytes"),
    # Times.
    (
        {"endpoint.predictSeconds": 241},
        "endpoint.predictSeconds: 241 for 'azure-container-apps': use 1 to 240 s (Container Apps documentation, ingress: request timeout)",
    ),
    (
        {"answers": None},
        "endpoint: a start of the function of 22 s (microsoft/azure-container-apps issue 997), a cold start of 15 s and a prediction of 10 "
        "s take 47 s, but 28 s are left behind a gateway that waits 30 s (Azure subscription service limits, API Management (Consumption): "
        "total request duration): lower endpoint.coldStartSeconds or endpoint.predictSeconds to 6 s together, or answer later: answers: ",
    ),
    ({"logs": {"retentionDays": 7}}, "logs.retentionDays: 7: use 30 to 730 days (Azure Monitor documentation"),
    # GPUs.
    (
        {"endpoint.gpu": "v100"},
        "endpoint.gpu: 'v100': did you mean a100? use l4 or t4 or a100 (Cloud Run documentation, GPU support for services; Container "
        "Apps documentation, workload profiles)",
    ),
    (
        {**T4, "endpoint.gpu": "l4", "endpoint.memoryMb": 2048},
        "endpoint.gpu: 'l4': not on 'azure-container-apps': use t4 or a100, or endpoint.platform gcp-cloud-run (Container Apps "
        "documentation, workload profiles)",
    ),
    (
        {**T4, "endpoint.memoryMb": 16_384},
        "endpoint.memoryMb: 16384 with endpoint.gpu t4: use 57344 MiB (Container Apps documentation, workload",
    ),
    ({**T4, "endpoint.cpu": 4}, "endpoint.cpu: 4 with endpoint.gpu t4: use 8 vCPU (Container Apps documentation, workload profiles"),
    ({**T4, "image.build.target": "cpu"}, "image.build.target: 'cpu': endpoint.gpu is t4: use gpu"),
    ({"image.build.target": "gpu"}, "image.build.target: 'gpu': there is no endpoint.gpu: use cpu, or set endpoint.gpu"),
    # A first call after a rest is not answered in time where it is not answered later.
    (
        {**T4, "answers": None},
        "lower endpoint.coldStartSeconds or endpoint.predictSeconds to 6 s together",
    ),
    (
        {"endpoint.private": True},
        "endpoint.private: true: not on 'azure-container-apps': it is reached from its own environment only, always",
    ),
    (
        {"endpoint.scaleAtCpu": 50},
        "endpoint.scaleAtCpu: 50: not on 'azure-container-apps': another replica starts once all have endpoint.requestsPerInstance",
    ),
    ({"endpoint.cooldownSeconds": 29}, "endpoint.cooldownSeconds: 29: use 30 to 86400 s (Container Apps documentation, set scaling rules)"),
    ({"endpoint.cooldownSeconds": 86_401}, "endpoint.cooldownSeconds: 86401: use 30 to 86400 s"),
    ({"function.pollingSeconds": 0}, "function.pollingSeconds: 0: use 1 to 300 s (Container Apps documentation, set scaling rules)"),
    (
        {"answers": None, "endpoint.coldStartSeconds": 3, "endpoint.predictSeconds": 3, "function.pollingSeconds": 5},
        "function.pollingSeconds: 5: no function has a queue here: leave it out, or set answers.async",
    ),
    ({"function.pollingSeconds": 301}, "function.pollingSeconds: 301: use 1 to 300 s"),
    (
        {"endpoint.zonalRedundancy": True},
        "endpoint.zonalRedundancy: true: not on 'azure-container-apps': it is a setting of GPUs on Cloud Run",
    ),
    ({"image": {"uri": "ghcr.io/a/b@sha256:" + "a" * 64}}, "use <registry>.azurecr.io/<repository>@sha256:<64 hex digits>"),
    # Networks.
    ({"network": {}}, "network: neither is set: use either network.addresses or network.subnetId"),
    (
        {"network": {"addresses": "10.8.0.0/26", "subnetId": SUBNET}},
        "network: both are set: use either network.addresses or network.subnetId",
    ),
    ({"network": {"addresses": "10.8.0.0"}}, "network.addresses: '10.8.0.0': is no range's beginning and length: use 10.8.0.0/32"),
    ({"network": {"addresses": "10.8.0.9/26"}}, "network.addresses: '10.8.0.9/26': is no range's beginning and length: use 10.8.0.0/26"),
    ({"network": {"addresses": "fd00::/64"}}, "network.addresses: 'fd00::/64': use a range of IPv4 addresses, 10.8.0.0/26, say"),
    ({"network": {"addresses": 10}}, "network.addresses: 10: use a private range of addresses, /27 or larger: 10.8.0.0/26, say"),
    ({"network": {"addresses": "20.0.0.0/24"}}, "network.addresses: '20.0.0.0/24': use a private range, one inside of 10.0.0.0/8, 172"),
    (
        {"network": {"addresses": "10.8.0.0/28"}},
        "network.addresses: '10.8.0.0/28': use /8 to /27 (Container Apps documentation, custom virtual networks: subnet, 2025-05)",
    ),
    (
        {"network": {"addresses": "172.16.0.0/12"}},
        "network.addresses: '172.16.0.0/12': overlaps 172.30.0.0/16, which Container Apps keeps: use another range (Container Apps",
    ),
    ({"network": {"addresses": "100.100.4.0/24"}}, "network.addresses: '100.100.4.0/24': overlaps 100.100.0.0/17, which Container Apps"),
    (
        {"network": {"addresses": "10.8.0.0/27"}, "endpoint.maxConcurrency": 105},
        "network.addresses: '10.8.0.0/27': has room for 70 replicas, and the stack may have 72 (endpoint 53, function 14, worker 4, jobs "
        "1): use /26 or larger, or lower endpoint.maxConcurrency (Container Apps documentation, custom virtual networks: subnet, 2025-05)",
    ),
    (
        {
            "network": {"addresses": "10.8.0.0/27"},
            **{
                "endpoint.gpu": "t4",
                "endpoint.cpu": 8,
                "endpoint.memoryMb": 57344,
                "image.build.target": "gpu",
                "endpoint.maxConcurrency": 160,
            },
        },
        "network.addresses: '10.8.0.0/27': has room for 70 replicas, and the stack may have 226 (endpoint 20, function 20, worker 5, jobs "
        "1; one with a GPU counts as 10): use /26 or larger, or lower endpoint.maxConcurrency",
    ),
    (
        {"network": {"subnetId": SUBNET.rpartition("/subnets/")[0]}},
        "network.subnetId: '/subscriptions/00000000-0000-0000-0000-000000000001/resour…: use a subnet's id, /subscriptions/<id>/",
    ),
    ({"network": {"adresses": "10.8.0.0/26"}}, "network.adresses: '10.8.0.0/26': unknown key, did you mean addresses? allowed here:"),
    (
        {"pattern": "events", "auth": None, "gateway": None, "answers": None, "events": {"resultsTable": "sql"}},
        "events.resultsTable: 'sql': use cosmos",
    ),
    ({"image.registry": "Premium"}, "image.registry: 'Premium': did you mean premium? use basic or premium"),
    ({"tags": {"a/b": "c"}}, "tags.a/b: 'c': a key has none of < > % & \\ ? / and up to 128 characters"),
    (
        {"tags": {"Team": "a", "team": "b"}},
        "tags.team: 'b': there is 'Team', and in another case it is the same tag (Azure Resource Manager",
    ),
    ({"tags": {"Stack": "mine"}}, "tags.Stack: 'mine': there is 'stack', and in another case it is the same tag"),
    ({"tags": {"azure-team": "c"}}, "tags.azure-team: the prefix belongs to Azure: use another key"),
    (
        {"budget": {"monthlyUsd": 9, "email": "a@example.com", "alertAt": [0.1, 0.3, 0.5, 0.7, 0.9, 1.0]}},
        "budget.alertAt: [0.1, 0.3, 0.5, 0.7, 0.9, 1.0]: makes 6 notifications: use 1 to 5 notifications (Consumption API, Budgets",
    ),
]


@pytest.mark.parametrize(("changes", "told"), CASES, ids=[told[:50] for _, told in CASES])
def test_one_mistake_is_one_sentence(changes: dict[str, Any], told: str) -> None:
    found = complaints(changes)
    assert len(found) == 1, found
    assert told in found[0]


def test_who_waits_too_long_may_answer_later() -> None:
    assert "or answer later: answers: {async: true}" in complaints({"answers": None})[0]
    assert taken({"answers": None, "endpoint.coldStartSeconds": 3, "endpoint.predictSeconds": 3}).answers is None
    assert taken({"answers": None, "gateway.tier": "basic-v2"}).answers is None
    assert taken({"endpoint.coldStartSeconds": 60, "answers": {"async": True}}).answers.async_


WINDOW = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin"}
QUEUED: list[tuple[dict[str, Any], str]] = [
    ({"events.batchSize": 5}, "events.batchSize: 5: not in cloud 'azure': messages are taken one by one: leave it out"),
    ({"events.batchWindowSeconds": 5}, "events.batchWindowSeconds: 5: not in cloud 'azure': messages are taken one by one, at once"),
    ({"events.maxAttempts": 1001}, "events.maxAttempts: 1001: use 1 to 1000 attempts (Storage queues REST API"),
    (
        {"events.visibilitySeconds": 173},
        "events.visibilitySeconds: 173: shorter than the chain: use 174 to 604800 s, 6 times the function's",
    ),
    ({"events.visibilitySeconds": 604_801}, "events.visibilitySeconds: 604801: use 1 to 604800 s (Storage queues REST API, Get Messages"),
    ({"events.maxConcurrency": 11}, "events.maxConcurrency: 11: more than endpoint.maxConcurrency 10: use 1 to 10, or raise"),
    ({"events.maxConcurrency": 0}, "events.maxConcurrency: 0: use 1 to 1000"),
    (
        {"endpoint.coldStartSeconds": 230},
        "endpoint: the function behind the queue needs 244 s for a cold start and a prediction: use 1 to 240 s (Container Apps",
    ),
    ({"events.maxObjectBytes": 67_108_865}, "events.maxObjectBytes: 67108865: the smallest hop's function.memoryMb is 512"),
]


@pytest.mark.parametrize(("changes", "told"), QUEUED, ids=[told[:50] for _, told in QUEUED])
def test_one_mistake_of_a_pipeline_is_one_sentence(changes: dict[str, Any], told: str) -> None:
    found = complaints(changes, stack=EVENTS)
    assert len(found) == 1, found
    assert told in found[0]


def test_a_pipeline_takes_what_its_queue_and_its_endpoint_take() -> None:
    for changes in ({"events.visibilitySeconds": 604_800}, {"events.maxConcurrency": 1}, {"events.maxAttempts": 1}):
        assert parse(changed(config_of(EVENTS)["pilotlight:service"], changes), EVENTS, PLACE).events


@pytest.mark.parametrize(("lease", "months"), [("2027-11-01", 12), ("2028-01-31", 14)])
def test_a_lease_whose_dates_would_come_again_is_refused(lease: str, months: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_NOW", "2026-11-25T12:00:00+00:00")
    [told] = complaints({"warming": [{**WINDOW, "leaseUntil": lease}]})
    assert told == (
        f"warming.0.leaseUntil: '{lease}': {months} months away: use 11 at most, or none: a rule of a cron knows no year "
        "(KEDA documentation, cron)"
    )


def test_a_lease_of_eleven_months_is_taken_and_one_of_pings_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_NOW", "2026-11-25T12:00:00+00:00")
    ping = {"kind": "ping", "everyMinutes": 5, "leaseUntil": "2029-01-01"}
    assert len(taken({"warming": [{**WINDOW, "leaseUntil": "2027-10-31"}, ping]}).warming) == 2


PLACES: list[tuple[dict[str, str | None], dict[str, Any], str]] = [
    ({**PLACE, "azure-native:location": None}, {}, "azure-native:location: missing beside pilotlight:service: use `azure-native:location"),
    ({**PLACE, "azure-native:subscriptionId": None}, {}, "azure-native:subscriptionId: missing beside pilotlight:service"),
    (
        {**PLACE, "azure-native:subscriptionId": "mine"},
        {},
        "azure-native:subscriptionId: 'mine': use a subscription's id, `az account show",
    ),
    (
        {**PLACE, "azure-native:location": "uksouth"},
        T4,
        "endpoint.gpu: 't4': not in 'uksouth': use australiaeast, brazilsouth, canadacentral, centralindia, eastus",
    ),
    (
        {**PLACE, "azure-native:location": "West Europe"},
        A100,
        "endpoint.gpu: 'a100': not in 'westeurope': use australiaeast, brazilsouth, canadacentral, eastus, italynorth, swedencentral, "
        "westus or westus3 as azure-native:location (Container Apps documentation, serverless GPUs: supported regions, 2025-06)",
    ),
]


@pytest.mark.parametrize(("place", "changes", "told"), PLACES, ids=[told[:50] for *_, told in PLACES])
def test_a_place_that_is_missing_or_lacks_something_is_refused(place: dict[str, str | None], changes: dict[str, Any], told: str) -> None:
    found = complaints(changes, place)
    assert len(found) == 1, found
    assert found[0].startswith(told)


@pytest.mark.parametrize("place", ["westeurope", "West Europe"])
def test_a_gpu_is_taken_where_it_is(place: str) -> None:
    assert taken(T4, {**PLACE, "azure-native:location": place}).endpoint.gpu == "t4"


@pytest.mark.parametrize(("memory", "cpu"), [(512, 0.25), (1024, 0.5), (2048, 1), (3584, 1.75), (8192, 4)])
def test_vcpus_follow_from_memory_and_may_be_said(memory: int, cpu: float) -> None:
    facts = PLATFORM_FACTS[PLATFORM]
    for settings in (taken({"endpoint.memoryMb": memory}), taken({"endpoint.memoryMb": memory, "endpoint.cpu": cpu})):
        size = instance(settings.endpoint, facts)
        assert size is not None
        assert (size.cpu, size.requests, size.gpu) == (cpu, 2, None)


def test_a_gpu_brings_its_own_defaults() -> None:
    facts = PLATFORM_FACTS[PLATFORM]
    place = {**PLACE, "azure-native:location": "swedencentral"}
    sizes = [instance(taken(each, place).endpoint, facts) for each in (T4, A100)]
    assert [(each.cpu, each.requests, each.gpu) for each in sizes if each is not None] == [(8, 8, "t4"), (24, 8, "a100")]
    assert cold_start_s(taken(T4).endpoint.model_copy(update={"cold_start_seconds": None}), facts) == 60


@pytest.mark.parametrize(("memory", "disk"), [(512, 1), (1024, 2), (1536, 4), (2048, 4), (2560, 8), (8192, 8)])
def test_the_disk_that_holds_the_model_grows_with_vcpus(memory: int, disk: int) -> None:
    assert model_bytes(taken({"endpoint.memoryMb": memory}).endpoint, PLATFORM_FACTS[PLATFORM]) == disk * GIB // 2


@pytest.mark.parametrize(("bits", "room"), [(23, 2470), (24, 1190), (25, 550), (26, 230), (27, 70), (28, 0), (32, 0)])
def test_a_subnet_has_the_room_that_the_documentation_tells(bits: int, room: int) -> None:
    assert subnets.replicas(bits) == room
    assert room == 0 or subnets.longest_prefix(room) == bits


@pytest.mark.parametrize("addresses", ["10.0.0.0/8", "10.8.0.0/27", "192.168.7.32/27", "172.29.0.0/16", "100.64.0.0/16"])
def test_a_network_is_taken_whose_range_can_be(addresses: str) -> None:
    network = taken({"network": {"addresses": addresses}, "endpoint.maxConcurrency": 104}).network
    assert (network.addresses, network.subnet_id) == (addresses, None)


@pytest.mark.parametrize("id_", [SUBNET, SUBNET.lower(), SUBNET.replace("0001", "0002")])
def test_a_subnet_is_taken_by_its_id_however_large_the_endpoint_is(id_: str) -> None:
    assert taken({"network": {"subnetId": id_}, "endpoint.maxConcurrency": 2000}).network.subnet_id == id_


@pytest.mark.parametrize(
    ("stack", "told"),
    [
        (
            "aws-sagemaker-api",
            "network: {'addresses': '10.8.0.0/26'}: not in cloud 'aws': the function and the endpoint are reached by IAM",
        ),
        (
            "gcp-cloud-run-api",
            "network: {'addresses': '10.8.0.0/26'}: not in cloud 'gcp': use endpoint.private, with a network of the stack",
        ),
    ],
)
def test_other_clouds_have_no_such_setting(stack: str, told: str) -> None:
    [said] = complaints({"network": {"addresses": "10.8.0.0/26"}}, {"gcp:project": "p", "gcp:region": "europe-west1"}, stack)
    assert said.startswith(told)


def test_switches_that_are_off_ask_for_nothing() -> None:
    assert taken({"dashboard": False, "warming": [], "endpoint.private": False}).dashboard is False


def test_the_publisher_is_asked_for_on_azure_alone_and_may_stay_in_a_file_that_moves_away() -> None:
    publisher = config_of(API)["pilotlight:service"]["gateway"]
    for stack in ("aws-lambda-api", "gcp-cloud-run-api"):
        service = config_of(stack)["pilotlight:service"]
        assert parse(service, stack).gateway is None
        assert parse({**service, "gateway": publisher}, stack).gateway.publisher_name == "Example"
    assert {row.cloud for row in CLOUD_NEEDS} == {"azure"}


def test_a_pipeline_has_no_publisher() -> None:
    service = config_of("aws-lambda-events")["pilotlight:service"]
    with pytest.raises(pulumi.RunError, match=r"gateway: .*: not with pattern 'events': an event pipeline has no gateway"):
        parse({**service, "gateway": config_of(API)["pilotlight:service"]["gateway"]}, "s")


def test_what_drops_the_floor_takes_no_share_of_the_budget() -> None:
    """It asks, where AWS's is told: five shares may stand beside it."""
    budget = {"monthlyUsd": 9, "email": "a@example.com", "alertAt": [0.1, 0.3, 0.5, 0.7, 0.9], "onExceeded": "drop-warming"}
    assert taken({"warming": [{"kind": "provisioned"}], "budget": budget}).budget.on_exceeded == "drop-warming"


def test_what_is_common_depends_on_which_clouds() -> None:
    assert common("auth.scopes", "jwt", ("aws", "azure"))
    assert not common("auth.scopes", "jwt", ("aws", "gcp", "azure"))
    assert not common("auth.dailyQuota", "jwt", ("aws", "azure"))
    assert common("logs.retentionDays", "api-key", ("aws", "azure"))
    for there in ("warming", "warming.ping", "budget.monthlyUsd", "answers.keepHours", "events.maxAttempts", "dashboard"):
        assert common(there, None, ("aws", "gcp", "azure"))
    assert common("endpoint.gpu", None, ("gcp", "azure"))
    assert common("image.registry", None, ("azure",))
    for other in ("aws", "gcp"):
        assert not common("image.registry", None, (other,))


def test_the_program_asks_the_providers_own_config() -> None:
    service = config_of(API)["pilotlight:service"]
    pulumi.runtime.set_all_config({"pilotlight:service": json.dumps(service), "azure-native:location": "westeurope"})
    with pytest.raises(pulumi.RunError, match="azure-native:subscriptionId: missing"):
        load_settings(API)
    pulumi.runtime.set_all_config({})


def test_a_tier_that_counts_by_any_key_takes_limits_of_tokens() -> None:
    limited = {"auth": {**JWT["auth"], "requestsPerSecond": 9}}
    for tier, quota in (("developer", 9), ("basic", 9), ("standard", 9), ("basic-v2", None), ("standard-v2", None)):
        settings = taken({**limited, "auth.dailyQuota": quota, "gateway.tier": tier})
        assert (settings.tier, settings.auth.requests_per_second, settings.auth.daily_quota) == (tier, 9, quota)


def test_a_gateway_beyond_the_default_tier_waits_for_four_minutes() -> None:
    assert taken({"answers": None, "endpoint.predictSeconds": 200, "gateway.tier": "basic"}).endpoint.predict_seconds == 200
    with pytest.raises(pulumi.RunError, match=r"but 238 s are left behind a gateway that waits 240 s \(API Management documentation"):
        taken({"answers": None, "endpoint.predictSeconds": 230, "gateway.tier": "basic"})


@pytest.mark.parametrize("stack", ["aws-sagemaker-api", "gcp-cloud-run-api"])
def test_gateways_of_other_clouds_have_no_tiers(stack: str) -> None:
    service = config_of(stack)["pilotlight:service"]
    with pytest.raises(pulumi.RunError, match=r"gateway.tier: 'basic': not in cloud '\w+': its gateway has no tiers: leave it out"):
        parse({**service, "gateway": {**config_of(API)["pilotlight:service"]["gateway"], "tier": "basic"}}, stack)


@pytest.mark.parametrize(
    ("stack", "told"),
    [
        ("aws-lambda-api", r"not on 'aws-lambda': nothing is told to X-Ray"),
        ("gcp-cloud-run-api", r"not on 'gcp-cloud-run': Cloud Run traces a sample of the requests by itself"),
    ],
)
def test_who_else_is_asked_for_traces_says_why_not(stack: str, told: str) -> None:
    with pytest.raises(pulumi.RunError, match=rf"tracing: True: {told}|tracing: true: {told}"):
        parse({**config_of(stack)["pilotlight:service"], "tracing": True}, stack)
