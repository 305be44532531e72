"""An endpoint with a GPU, one that says when there are more instances of it, and one that the internet can't reach."""

from typing import Any

import pytest

from tests.planned.gcp.conftest import API, ENABLED, INVOKER, RUN, container, plan_of

GPU = "gcp-cloud-run-gpu-api"
NETWORK, SUBNETWORK = "gcp:compute/network:Network", "gcp:compute/subnetwork:Subnetwork"


@pytest.mark.parametrize(("changes", "disabled"), [({}, True), ({"endpoint.zonalRedundancy": True}, False)])
def test_an_instance_has_its_gpu_is_billed_for_as_long_as_it_lives_and_is_redundant_by_setting(
    changes: dict[str, Any], disabled: bool
) -> None:
    template = plan_of(GPU, changes).one(RUN, "endpoint-service").inputs["template"]
    assert template["nodeSelector"] == {"accelerator": "nvidia-l4"}
    assert template["gpuZonalRedundancyDisabled"] is disabled
    [held] = template["containers"]
    assert held["resources"] == {
        "cpuIdle": False,
        "startupCpuBoost": True,
        "limits": {"cpu": "8", "memory": "16384Mi", "nvidia.com/gpu": "1"},
    }
    assert (template["maxInstanceRequestConcurrency"], template["scaling"]) == (8, {"maxInstanceCount": 2})
    assert {"name": "REQUIRE_GPU", "value": "1"} in held["envs"]


def test_the_endpoints_image_is_that_of_gpus_and_the_function_has_none() -> None:
    plan = plan_of(GPU)
    targets = {each.name: each.inputs["target"] for each in plan.all("docker-build:index:Image")}
    assert targets == {"api-image-build": "gpu", "api-image-functions": "function-gcp"}
    function = plan.one(RUN, "function-service")
    assert "nvidia.com/gpu" not in container(function)["resources"]["limits"]
    assert "nodeSelector" not in function.inputs["template"]


def test_without_a_gpu_nothing_speaks_of_one() -> None:
    template = plan_of(API).one(RUN, "endpoint-service").inputs["template"]
    assert "nodeSelector" not in template
    assert "gpuZonalRedundancyDisabled" not in template
    assert "REQUIRE_GPU" not in {each["name"] for each in template["containers"][0]["envs"]}


def test_when_there_is_another_instance_is_cloud_runs_own_to_say_but_for_what_is_set() -> None:
    def scaling(changes: dict[str, Any]) -> Any:
        return plan_of(API, changes).one(RUN, "endpoint-service").inputs["template"]["scaling"]

    assert scaling({}) == {"maxInstanceCount": 5}
    assert scaling({"endpoint.scaleAtRequests": 80}) == {"maxInstanceCount": 5, "concurrencyUtilization": 0.8}
    by_cpu = {"endpoint.scaleAtRequests": 0, "endpoint.scaleAtCpu": 50}
    assert scaling(by_cpu) == {"maxInstanceCount": 5, "concurrencyUtilization": 0, "cpuUtilization": 0.5}
    function = plan_of(API, by_cpu).one(RUN, "function-service").inputs["template"]["scaling"]
    assert set(function) == {"maxInstanceCount"}


def test_a_private_endpoint_is_reached_through_the_network_of_its_function_only() -> None:
    plan = plan_of(API, {"endpoint.private": True})
    endpoint, function = plan.one(RUN, "endpoint-service"), plan.one(RUN, "function-service")
    assert endpoint.inputs["ingress"] == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    # API Gateway has no way into a network of the project's: what it calls stays open to the network, and closed by IAM.
    assert function.inputs["ingress"] == "INGRESS_TRAFFIC_ALL"
    network, subnetwork = plan.one(NETWORK), plan.one(SUBNETWORK)
    assert function.inputs["template"]["vpcAccess"] == {
        "egress": "ALL_TRAFFIC",
        "networkInterfaces": [{"network": network.outputs["id"], "subnetwork": subnetwork.outputs["id"]}],
    }
    assert "vpcAccess" not in endpoint.inputs["template"]
    assert (network.inputs["autoCreateSubnetworks"], subnetwork.inputs["privateIpGoogleAccess"]) == (False, True)
    assert subnetwork.inputs["region"] == "europe-west1"
    [compute] = [each for each in plan.all(ENABLED) if each.inputs["service"] == "compute.googleapis.com"]
    assert {compute.urn} <= plan.before(network) & plan.before(subnetwork)
    # Who may invoke is IAM's to say in either case.
    assert len(plan.all(INVOKER)) == 2


@pytest.mark.parametrize("stack", [API, "gcp-cloud-run-events"])
def test_what_calls_a_private_endpoint_takes_no_request_before_it_reaches_it(stack: str) -> None:
    plan = plan_of(stack, {"endpoint.private": True, "warming": [{"kind": "ping", "everyMinutes": 5}]})
    endpoint, calling = plan.one(RUN, "endpoint-service"), [each for each in plan.all(RUN) if "vpcAccess" in each.inputs["template"]]
    assert len(calling) == len(plan.all(RUN)) - 1
    for each in calling:
        [held] = each.inputs["template"]["containers"]
        assert held["startupProbe"] == {
            "httpGet": {"path": "/health/startup", "port": 8080},
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": 240,
        }
        assert not {"livenessProbe", "readinessProbe"} & set(held)
        assert {"name": "STARTUP_URL", "value": endpoint.outputs["uri"]} in held["envs"]


def test_what_calls_an_endpoint_by_the_internet_starts_when_it_listens() -> None:
    for each in plan_of(API).all(RUN):
        if not each.name.endswith("endpoint-service"):
            [held] = each.inputs["template"]["containers"]
            assert "startupProbe" not in held
            assert "STARTUP_URL" not in {env["name"] for env in held["envs"]}


def test_one_that_becomes_private_is_another_service_which_is_there_before_the_old_one_goes() -> None:
    public, private = plan_of(API), plan_of(API, {"endpoint.private": True})
    before, after = (plan.one(RUN, "endpoint-service") for plan in (public, private))
    assert (before.urn, before.inputs["name"] == after.inputs["name"]) == (after.urn, False)
    # Google's provider would delete what has a given name first: service, grant on it, and a model under another key.
    made = [after, *private.all(INVOKER), *private.all("gcp:storage/bucketObject:BucketObject")]
    assert [each.delete_first for each in made] == [False] * len(made)
    [granted] = [each for each in private.all(INVOKER) if each.inputs["name"] == after.inputs["name"]]
    function = private.one(RUN, "function-service")
    assert {after.urn, granted.urn} <= private.before(function)
    # So the old one goes before the network, which Cloud Run's addresses may hold back.
    assert {each.urn for each in (*private.all(NETWORK), *private.all(SUBNETWORK))} <= private.before(after)


def test_an_endpoint_that_is_not_private_has_no_network() -> None:
    plan = plan_of(API)
    assert plan.all(NETWORK) == []
    assert plan.one(RUN, "endpoint-service").inputs["ingress"] == "INGRESS_TRAFFIC_ALL"
    assert "vpcAccess" not in plan.one(RUN, "function-service").inputs["template"]
