"""What holds in every plan on Azure, whatever is set: identities, rights, nothing public, nothing with local auth."""

import json
import re
import uuid
from typing import Any

import pytest

from docs.generate.options import judged, shown
from pilotlight.planned import ready_stacks
from tests.planned.azure.conftest import (
    ACCOUNT,
    APP,
    ASSIGNMENT,
    CONTAINER,
    COSMOS,
    COSMOS_ASSIGNMENT,
    GUARD,
    IDENTITY,
    INSIGHTS,
    JOB,
    LOGGER,
    REGISTRY,
    ROLE,
    ROLES,
    SERVICE,
    TOPIC,
    WORKSPACE,
    Plan,
    container,
    plan_of,
)

VARIANTS = [
    pytest.param(stack, changes, id=f"{stack} {words}")
    for stack in ready_stacks()
    if stack.startswith("azure-")
    for words, changes in {**judged(stack), **shown(stack)}.items()
]
EVERY = pytest.mark.parametrize(("stack", "changes"), VARIANTS)
# Built-in roles that may be granted, each on one resource of its type: no role on the group, or above it.
MAY = {
    "Monitoring Metrics Publisher": r".*/Microsoft\.Insights/components/[\w-]+",
    "AcrPull": r".*/Microsoft\.ContainerRegistry/registries/\w+",
    "Storage Blob Data Reader": r".*/blobServices/default/containers/(models|objects)",
    "Storage Blob Data Contributor": r".*/blobServices/default/containers/(answers|results|dead-events)",
    "Storage Queue Data Reader": r".*/queueServices/default/queues/answers",
    "Storage Queue Data Message Sender": r".*/queueServices/default/queues/(answers|dead|events|results)",
    "Storage Queue Data Contributor": r".*/queueServices/default/queues/(answers|events)",
    "Storage Table Data Contributor": r".*(/tableServices/default/tables/answers|/storageAccounts/results[0-9a-f]{16})",
}
# Actions of the stack's own roles, and where each may be granted: to drop the floor when a budget is spent, and for nothing else.
OWN = {
    ("Microsoft.Consumption/budgets/read",): r"/subscriptions/[^/]+/resourceGroups/[^/]+",
    ("Microsoft.App/containerApps/read", "Microsoft.App/containerApps/write"): r".*/Microsoft\.App/containerApps/endpoint-\w+",
    ("Microsoft.App/jobs/read", "Microsoft.App/jobs/write"): r".*/Microsoft\.App/jobs/warmer-[\w-]+",
}
# Accounts whose shared keys are on, because pulumi-azure-native uploads blobs with one (its issue 2015).
WITH_KEYS = {"api-models-account", "events-models-account"}


def plan(stack: str, changes: dict[str, Any]) -> Plan:
    return plan_of(changes, stack)


@EVERY
def test_rights_are_few_and_each_on_one_resource(stack: str, changes: dict[str, Any]) -> None:
    made = plan(stack, changes)
    identities = {each.outputs["principalId"] for each in made.all(IDENTITY)}
    own = {each.inputs["roleDefinitionId"]: tuple(each.inputs["permissions"][0]["actions"]) for each in made.all(ROLE)}
    for each in made.all(ASSIGNMENT):
        guid = each.inputs["roleDefinitionId"].rpartition("/")[2]
        place = OWN[own[guid]] if guid in own else MAY[ROLES[guid]]
        assert re.fullmatch(place, each.inputs["scope"]), each.name
        assert guid not in own or each.name.partition("-floor-")[0].endswith("-budget")
        assert (each.inputs["principalType"], each.inputs["principalId"] in identities) == ("ServicePrincipal", True)
        assert str(uuid.UUID(each.inputs["roleAssignmentName"])) == each.inputs["roleAssignmentName"]
    for each in made.all(COSMOS_ASSIGNMENT):
        assert re.fullmatch(r".*/databaseAccounts/results[0-9a-f]{16}", each.inputs["scope"])
        assert each.inputs["principalId"] in identities


@EVERY
def test_every_identity_is_of_one_part_which_runs_as_it(stack: str, changes: dict[str, Any]) -> None:
    made = plan(stack, changes)
    parts = [each for type_ in (APP, JOB, SERVICE, TOPIC) for each in made.all(type_)]
    runs_as = {each.name: one for each in parts for one in each.inputs["identity"]["userAssignedIdentities"]}
    # All jobs of one warming plan are one part.
    warmers = {one for name, one in runs_as.items() if "warming-ping" in name}
    apart = [one for name, one in runs_as.items() if one not in warmers]
    assert sorted([*apart, *warmers]) == sorted(each.outputs["id"] for each in made.all(IDENTITY))
    assert len(warmers) <= 1
    assert {each.inputs["identity"]["type"] for each in parts} <= {"UserAssigned"}


@EVERY
def test_nothing_is_public_and_what_is_reached_from_outside_has_its_guard(stack: str, changes: dict[str, Any]) -> None:
    made = plan(stack, changes)
    ingress = {each.inputs["containerAppName"]: each.inputs["configuration"].get("ingress") for each in made.all(APP)}
    outside = {name for name, each in ingress.items() if each and each["external"]}
    assert {each.inputs["containerAppName"] for each in made.all(GUARD)} == outside
    assert len(outside) == (0 if stack.endswith("-events") else 1)
    assert {each["allowInsecure"] for each in ingress.values() if each} == {False}
    assert {each.inputs["allowBlobPublicAccess"] for each in made.all(ACCOUNT)} == {False}
    assert {each.inputs["publicAccess"] for each in made.all(CONTAINER)} == {"None"}
    assert {each.inputs["anonymousPullEnabled"] for each in made.all(REGISTRY)} == {False}


@EVERY
def test_nothing_has_local_auth_that_can_be_without(stack: str, changes: dict[str, Any]) -> None:
    made = plan(stack, changes)
    assert {each.inputs["adminUserEnabled"] for each in made.all(REGISTRY)} == {False}
    assert {each.inputs["features"]["disableLocalAuth"] for each in made.all(WORKSPACE)} == {True}
    assert {each.name for each in made.all(ACCOUNT) if each.inputs["allowSharedKeyAccess"]} <= WITH_KEYS
    assert {each.inputs["disableLocalAuth"] for each in made.all(COSMOS)} <= {True}
    assert {each.inputs["disableLocalAuth"] for each in made.all(INSIGHTS)} <= {True}
    assert {set(each.inputs["credentials"]) == {"connectionString", "identityClientId"} for each in made.all(LOGGER)} <= {True}
    told = [each for each in made.resources if each.type.startswith("azure-native:") and each.type != LOGGER]
    text = json.dumps([each.inputs for each in told])
    assert [word for word in ("passwordSecretRef", "sharedKey", "connectionString") if word in text] == []


@EVERY
def test_what_runs_is_named_by_digest_and_bounded(stack: str, changes: dict[str, Any]) -> None:
    for each in plan(stack, changes).all(APP):
        assert re.search(r"@sha256:[0-9a-f]{64}$", container(each)["image"]), each.name
        scale = each.inputs["template"]["scale"]
        warm = int(any(rule["kind"] == "provisioned" for rule in changes.get("warming", ())) and "endpoint-app" in each.name)
        assert warm == scale["minReplicas"] < scale["maxReplicas"] <= 1000
        assert scale["rules"], each.name


@EVERY
def test_names_keep_the_rules_of_azure(stack: str, changes: dict[str, Any]) -> None:
    rules = {
        "accountName": r"[a-z0-9]{3,24}",
        "containerAppName": r"[a-z]([a-z0-9]|-(?!-)){0,30}[a-z0-9]",
        "containerName": r"[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]",
        "eventSubscriptionName": r"[a-zA-Z0-9-]{3,64}",
        "jobName": r"[a-z]([a-z0-9]|-(?!-)){0,30}[a-z0-9]",
        "queueName": r"[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]",
        "systemTopicName": r"[a-zA-Z0-9-]{3,128}",
        "tableName": r"[A-Za-z][A-Za-z0-9]{2,62}",
        "environmentName": r"[a-z][a-z0-9-]{0,58}[a-z0-9]",
        "registryName": r"[a-zA-Z0-9]{5,50}",
        "resourceGroupName": r"[\w().-]{1,89}[\w()-]",
        "resourceName": r"[a-zA-Z0-9][\w-]{2,127}",
        "serviceName": r"[a-zA-Z][a-zA-Z0-9-]{0,48}[a-zA-Z0-9]",
    }
    seen = set()
    for each in plan(stack, changes).resources:
        for key in rules.keys() & each.inputs.keys():
            assert re.fullmatch(rules[key], each.inputs[key]), (each.name, key)
            seen.add(key)
    own = {"api": {"serviceName"}, "events": {"eventSubscriptionName", "queueName", "systemTopicName", "tableName"}}
    sometimes = {"jobName", "queueName", "tableName"}
    assert set(rules) - seen <= {*sometimes, *own["api" if stack.endswith("-events") else "events"]}
