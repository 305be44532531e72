"""An endpoint with a GPU."""

import pulumi
import pytest

from pilotlight.planned import changed, config_of, plan_as
from tests.planned.azure.conftest import APP, ENVIRONMENT, IMAGE, STACK, Plan, container, plan_of, variables

GPUS = {"t4": ("Consumption-GPU-NC8as-T4", 8, 57_344, "56Gi"), "a100": ("Consumption-GPU-NC24-A100", 24, 225_280, "220Gi")}


def changes(gpu: str) -> dict[str, object]:
    return {"endpoint.gpu": gpu, "endpoint.memoryMb": GPUS[gpu][2], "image.build.target": "gpu"}


def plan_in(location: str, gpu: str) -> Plan:
    config = config_of(STACK)
    service = changed(config["pilotlight:service"], changes(gpu))
    return Plan(plan_as(STACK, {**config, "azure-native:location": location, "pilotlight:service": service}).resources)


@pytest.mark.parametrize(("gpu", "location"), [("t4", "westeurope"), ("a100", "swedencentral")])
def test_a_replica_has_the_whole_of_its_profile_which_has_no_counts(gpu: str, location: str) -> None:
    type_, cpu, _, memory = GPUS[gpu]
    plan = plan_in(location, gpu)
    profiles = {each["name"]: each for each in plan.one(ENVIRONMENT).inputs["workloadProfiles"]}
    assert {name: each["workloadProfileType"] for name, each in profiles.items()} == {"Consumption": "Consumption", "gpu": type_}
    assert not any({"minimumCount", "maximumCount"} & set(each) for each in profiles.values())
    apps = {each.name.partition("-app")[0]: each for each in plan.all(APP)}
    endpoint, function = apps["api-endpoint"], apps["api-function"]
    assert (endpoint.inputs["workloadProfileName"], function.inputs["workloadProfileName"]) == ("gpu", "Consumption")
    assert container(endpoint)["resources"] == {"cpu": cpu, "memory": memory}
    assert variables(endpoint)["REQUIRE_GPU"] == "1"
    scale = endpoint.inputs["template"]["scale"]
    assert (scale["minReplicas"], scale["maxReplicas"]) == (0, 2)
    assert scale["rules"][0]["http"]["metadata"] == {"concurrentRequests": "8"}
    assert {each.name: each.inputs["target"] for each in plan.all(IMAGE)} == {
        "api-image-build": "gpu",
        "api-image-functions": "function-azure",
    }


def test_an_a100_is_refused_where_there_is_none() -> None:
    with pytest.raises(pulumi.RunError, match=r"endpoint.gpu: 'a100': not in 'westeurope': use australiaeast, .*swedencentral"):
        plan_in("westeurope", "a100")


def test_without_a_gpu_nothing_speaks_of_one() -> None:
    plan = plan_of()
    assert [each["name"] for each in plan.one(ENVIRONMENT).inputs["workloadProfiles"]] == ["Consumption"]
    assert "REQUIRE_GPU" not in variables(plan.one(APP, "endpoint-app"))
