"""Container apps as a provider server makes them: what must be there, what they tell, when a revision is made."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.azure.types import APP, APP_AUTH, JOB
from pilotlight.twin.rows import Refusal
from pilotlight.twin.values import UNKNOWN
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import IN_GROUP, PORT, Account
from tests.parts.twin.azure.apps import CONTAINER, INGRESS, PROFILES, Place


@pytest.fixture
def place(account: Account) -> Place:
    made = Place(account)
    made.allow()
    return made


def app(place: Place, **more: Any) -> Resource:
    return place.account.make(APP, "server", place.inputs(**more))


def test_an_app_tells_its_address_and_its_revision(place: Place) -> None:
    made, domain = app(place), place.environment["defaultDomain"]
    ingress = made["configuration"]["ingress"]
    assert ingress["fqdn"] == f"127.0.0.1:{PORT}/app/server.{domain}"
    assert (ingress["allowInsecure"], ingress["traffic"]) == (False, [{"latestRevision": True, "weight": 100}])
    assert made["latestRevisionName"] == made["latestReadyRevisionName"]
    assert made["latestRevisionName"].startswith("server--")
    assert made["latestRevisionFqdn"] == f"{made['latestRevisionName']}.{domain}"
    assert made["environmentId"] == made["managedEnvironmentId"] == place.environment.id
    assert made["identity"]["userAssignedIdentities"][place.who.id]["principalId"] == place.who["principalId"]


def test_an_internal_app_has_another_address_and_one_without_ingress_none(place: Place) -> None:
    hidden = app(place, ingress={**INGRESS, "external": False})
    assert hidden["configuration"]["ingress"]["fqdn"].endswith(f"/app/server.internal.{place.environment['defaultDomain']}")
    silent = app(place, containerAppName="silent", ingress=None)
    assert "fqdn" not in str(silent["configuration"])


def test_a_changed_template_makes_a_revision_and_nothing_else_does(place: Place) -> None:
    made = app(place)
    configuration = {**made.inputs["configuration"], "ingress": {**INGRESS, "external": False}}
    hidden = place.account.change(made, {"configuration": configuration})
    assert hidden["latestRevisionName"] == made["latestRevisionName"]
    changed = place.account.change(hidden, {"template": place.inputs(container={"args": ["x"]})["template"]})
    assert changed["latestRevisionName"] != made["latestRevisionName"]


def test_a_suffix_names_a_revision_once(place: Place) -> None:
    template = {**place.inputs()["template"], "revisionSuffix": "one"}
    made = place.account.make(APP, "server", place.inputs(template=template))
    assert made["latestRevisionName"] == "server--one"
    with pytest.raises(Refusal, match="server--one is there with another template"):
        place.account.change(made, {"template": {**template, "scale": {"maxReplicas": 3}}})


def test_secrets_are_told_to_nobody(place: Place) -> None:
    inputs = place.inputs(container={"env": [{"name": "KEY", "secretRef": "key"}]})
    inputs["configuration"] = {**inputs["configuration"], "secrets": [{"name": "key", "value": "hush"}]}
    made = place.account.make(APP, "server", inputs)
    assert "hush" not in str(made.outputs)
    assert made["configuration"]["secrets"] == [{"name": "key"}]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"environmentId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/managedEnvironments/none"},
            "ManagedEnvironmentNotFound",
        ),
        ({"location": "northeurope"}, "is not where the environment apps is: use 'westeurope'"),
        ({"workloadProfileName": "other"}, "'other' is not in apps: it has 'Consumption', 'gpu'"),
        ({"workloadProfileName": "gpu", "container": {"resources": {"cpu": 9, "memory": "9Gi"}}}, "ContainerAppInvalidResourceTotal"),
        ({"identity": {"type": "SystemAssigned"}}, "ManagedIdentityNotAssigned: configuration.registries[0].identity"),
        ({"container": {"image": "docker.io/library/nginx"}}, "the local twin runs images that a program pushed"),
        ({"configuration": {"ingress": INGRESS}}, "UNAUTHORIZED: authentication required. No entry of configuration.registries"),
        (
            {"scale": {"rules": [{"name": "q", "azureQueue": {"accountName": "a", "queueName": "b", "identity": "system"}}]}},
            "rules[0].azureQueue.identity",
        ),
    ],
)
def test_what_is_not_there_is_refused(place: Place, more: dict[str, Any], text: str) -> None:
    assert text in place.account.refused(APP, place.inputs(**more))


def test_a_workload_profile_keeps_its_type_and_stays_while_something_runs_on_it(place: Place) -> None:
    consumption, gpu = PROFILES
    other = {**gpu, "name": "other"}
    environment = place.account.change(place.environment, {"workloadProfiles": [consumption, gpu, other]})
    with pytest.raises(Refusal, match="'gpu' is of the type Consumption-GPU-NC8as-T4 and can't become Consumption"):
        place.account.change(environment, {"workloadProfiles": [consumption, {**gpu, "workloadProfileType": "Consumption"}, other]})
    app(place, workloadProfileName="gpu", container={"resources": {"cpu": 8, "memory": "56Gi"}})
    with pytest.raises(Refusal, match="WorkloadProfileInUse: workloadProfiles: 'gpu' can't be removed: server runs on it"):
        place.account.change(environment, {"workloadProfiles": [consumption, other]})
    left = place.account.change(environment, {"workloadProfiles": [consumption, gpu]})
    assert [each["name"] for each in left["workloadProfiles"]] == ["Consumption", "gpu"]


def test_an_image_that_is_not_pushed_is_refused(place: Place) -> None:
    missing = {"image": place.image.replace("1" * 64, "2" * 64)}
    assert "MANIFEST_UNKNOWN" in place.account.refused(APP, place.inputs(container=missing))


def test_without_the_role_the_image_is_not_pulled(account: Account) -> None:
    place = Place(account)
    refused = account.refused(APP, place.inputs())
    assert "InvalidParameterValueInContainerTemplate: Field 'template.containers.server.image' is invalid" in refused
    assert "UNAUTHORIZED" in refused
    assert "registries/pull/read" in refused
    place.allow()
    app(place)


def test_an_own_identity_has_no_role_before_it_is_there(place: Place) -> None:
    registries = [{"server": place.registry["loginServer"], "identity": "system"}]
    more = {"identity": {"type": "SystemAssigned"}, "configuration": {"ingress": INGRESS, "registries": registries}}
    assert "own identity is made with it, so that it has no role yet" in place.account.refused(APP, place.inputs(**more))


@pytest.mark.parametrize("name", ["S", "server--one", "-server", "server-", "1server", "s" * 33])
def test_names_are_as_azure_has_them(place: Place, name: str) -> None:
    _, problems = place.account.check(APP, "server", place.inputs(containerAppName=name))
    assert [text.partition(":")[0] for text in problems] == ["containerAppName"]


def test_jobs_and_authentication(place: Place) -> None:
    made = app(place)
    auth = {**IN_GROUP, "containerAppName": "server", "authConfigName": "current", "platform": {"enabled": True}}
    assert place.account.make(APP_AUTH, "guard", auth).id == f"{made.id}/authConfigs/current"
    schedule = {"cronExpression": "0 8 * * 1-5"}
    registries = place.inputs()["configuration"]["registries"]
    configuration = {"triggerType": "Schedule", "replicaTimeout": 60, "scheduleTriggerConfig": schedule, "registries": registries}
    inputs = {
        **IN_GROUP,
        "jobName": "warmer",
        "environmentId": place.environment.id,
        "identity": place.inputs()["identity"],
        "configuration": configuration,
        "template": {"containers": [{**CONTAINER, "image": place.image}]},
    }
    job = place.account.make(JOB, "warmer", inputs)
    assert job.id.endswith("/providers/Microsoft.App/jobs/warmer")
    assert job["outboundIpAddresses"] == [place.environment["staticIp"]]
    assert "ManagedIdentityNotAssigned" in place.account.refused(
        JOB, {**inputs, "jobName": "other", "identity": {"type": "SystemAssigned"}}
    )


def test_what_a_preview_does_not_know_yet_is_not_missed(place: Place) -> None:
    unknown, queue = UNKNOWN, {"accountName": UNKNOWN, "queueName": UNKNOWN, "queueLength": 5, "identity": UNKNOWN}
    cron = {"type": "cron", "metadata": {"timezone": "UTC", "start": UNKNOWN, "end": UNKNOWN, "desiredReplicas": "1"}}
    env = [{"name": "A", "value": unknown}, {"name": "B", "secretRef": "key"}]
    inputs = place.inputs(
        environmentId=unknown,
        identity={"type": "UserAssigned", "userAssignedIdentities": [unknown]},
        configuration={
            "ingress": {"external": True, "targetPort": unknown},
            "registries": [{"server": unknown, "identity": unknown}],
            "secrets": [{"name": "key", "value": unknown}],
        },
        container={"image": unknown, "env": env, "resources": {"cpu": unknown, "memory": unknown}},
        scale={"rules": [{"name": "queue", "azureQueue": queue}, {"name": "office", "custom": cron}]},
    )
    assert place.account.check(APP, "server", inputs)[1] == []
    half = place.inputs(container={"resources": {"cpu": 2, "memory": unknown}})
    assert place.account.check(APP, "server", half)[1] == []
    del inputs["environmentId"]
    assert place.account.check(APP, "server", {**inputs, "managedEnvironmentId": unknown})[1] == []
    registration = {"clientId": unknown, "openIdIssuer": unknown}
    auth = {"identityProviders": {"azureActiveDirectory": {"registration": registration}}}
    assert place.account.check(APP_AUTH, "guard", {**IN_GROUP, "containerAppName": unknown, "authConfigName": "current", **auth})[1] == []


def test_an_environment_with_an_app_in_it_stays(place: Place) -> None:
    made = app(place)
    with pytest.raises(Refusal, match="still contains 1 apps or jobs: server"):
        place.account.delete(place.environment)
    place.account.delete(made)
    place.account.delete(place.environment)
