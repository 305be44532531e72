"""checkov over every plan on Azure as a template, and own rules over it: what stays has its reason, and each rule finds its fault."""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.security.accepted_azure import AZURE, JUDGED, NOT_JUDGED, OTHERWISE
from tests.security.azure_rules import (
    APP,
    ASSIGNMENT,
    COSMOS_ROLE,
    GRANTS,
    GUARD,
    IN_COSMOS,
    OWN,
    RULES,
    actions_in_cosmos,
    findings,
    own_actions,
)
from tests.security.plans import names, resources
from tests.security.psrule import KEPT
from tests.security.test_checkov import run_checkov

VARIANTS = [name for name in names() if name.startswith("azure-")]
API, EVENTS = "azure-container-apps-api", "azure-container-apps-events"
DROPS, COSMOS_DB = f"{API}+drop-scheduled", f"{EVENTS}+cosmos"
TRACED = "azure-container-apps-api+extras"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_TLS = "Microsoft.WindowsAzure.ApiManagement.Gateway.Security.Protocols.Tls10"
# What a careless stack would declare, by type, and checks that must fail for it.
BAD: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    "Microsoft.ContainerRegistry/registries": (
        {"sku": {"name": "Standard"}, "properties": {"adminUserEnabled": True, "anonymousPullEnabled": True}},
        {"CKV_AZURE_137", "CKV_AZURE_138"},
    ),
    "Microsoft.Storage/storageAccounts": (
        {"properties": {"supportsHttpsTrafficOnly": False, "minimumTlsVersion": "TLS1_0", "publicNetworkAccess": "Enabled"}},
        {"CKV_AZURE_3", "CKV_AZURE_44", "CKV_AZURE_59"},
    ),
    "Microsoft.Storage/storageAccounts/blobServices/containers": ({"properties": {"publicAccess": "Blob"}}, {"CKV_AZURE_34"}),
    "Microsoft.DocumentDB/databaseAccounts": (
        {"kind": "GlobalDocumentDB", "properties": {"databaseAccountOfferType": "Standard", "publicNetworkAccess": "Enabled"}},
        {"CKV_AZURE_132", "CKV_AZURE_140"},
    ),
    "Microsoft.ApiManagement/service": ({"properties": {"customProperties": {_TLS: "true"}}}, {"CKV_AZURE_173"}),
}


def templates(variant: str) -> list[dict[str, Any]]:
    return [each["template"] for each in resources(variant) if each["template"]]


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[tuple[str, str]]]:
    """One run over all variants and the careless stack: variant → {(check id, type and name)} of the failed checks."""
    root = tmp_path_factory.mktemp("templates")
    careless = [{"type": type_, "apiVersion": "2024-01-01", "name": "bad", **told} for type_, (told, _) in BAD.items()]
    found: dict[str, set[tuple[str, str]]] = {}
    for name, made in {**{variant: templates(variant) for variant in VARIANTS}, "careless": careless}.items():
        (root / f"{name}.json").write_text(json.dumps({"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": made}))
        found[name] = set()
    report = run_checkov(root, "arm")
    assert report["summary"]["parsing_errors"] == 0
    for each in report["results"]["failed_checks"]:
        found[Path(each["file_path"]).stem].add((each["check_id"], each["resource"]))
    return found


def explained(check: str, where: str) -> bool:
    return any(each.covers(check, where) for each in AZURE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_failed_check_has_a_reason(failed: dict[str, set[tuple[str, str]]], variant: str) -> None:
    assert failed[variant]
    assert sorted(each for each in failed[variant] if not explained(*each)) == []


@pytest.mark.parametrize(("check", "reason"), [(check, each) for each in AZURE for check in each.checks], ids=str)
def test_every_reason_is_still_needed(failed: dict[str, set[tuple[str, str]]], check: str, reason: Any) -> None:
    assert any(id_ == check and reason.covers(id_, where) for variant in VARIANTS for id_, where in failed[variant])


def test_every_check_of_checkovs_is_judged_or_answered_once(failed: dict[str, set[tuple[str, str]]]) -> None:
    """The careless stack breaks what the others keep."""
    assert {check for found in failed.values() for check, _ in found} >= JUDGED
    assert set(OTHERWISE.values()) <= {*KEPT, *RULES}
    assert len(JUDGED | set(OTHERWISE) | set(NOT_JUDGED)) == len(JUDGED) + len(OTHERWISE) + len(NOT_JUDGED)
    assert {check for each in AZURE for check in each.checks} <= JUDGED


@pytest.mark.parametrize("type_", BAD)
def test_a_careless_resource_is_found_and_explained_by_no_reason(failed: dict[str, set[tuple[str, str]]], type_: str) -> None:
    found = {check for check, where in failed["careless"] if where == f"{type_}.bad" and not explained(check, where)}
    assert BAD[type_][1] <= found


def test_a_template_has_the_names_and_places_of_resource_manager() -> None:
    made = {each["type"]: each for each in templates(API)}
    account, workspace = made["Microsoft.Storage/storageAccounts"], made["Microsoft.OperationalInsights/workspaces"]
    assert account["properties"]["supportsHttpsTrafficOnly"] is True
    assert (account["kind"], account["sku"]["name"], workspace["properties"]["sku"]["name"]) == ("StorageV2", "Standard_LRS", "PerGB2018")
    container = made["Microsoft.Storage/storageAccounts/blobServices/containers"]
    assert container["name"] == f"{account['name']}/default/models"
    assert made["Microsoft.Authorization/roleAssignments"]["scope"].startswith("/subscriptions/")
    app = made["Microsoft.App/containerApps"]
    assert all(told == {} for told in app["identity"]["userAssignedIdentities"].values())
    assert {"configuration", "environmentId", "template"} <= set(app["properties"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_of_a_resource_is_left_out_of_its_template(variant: str) -> None:
    """Every value of its inputs is in it: in its place, its name, or its group's."""
    for each in resources(variant):
        if each["template"]:
            told = json.dumps([each["template"], each["outputs"]["id"]])
            assert [value for value in leaves(each["inputs"]) if json.dumps(value)[1:-1] not in told] == [], each["name"]


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from leaves(inner)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_rule_is_broken(variant: str) -> None:
    assert findings(resources(variant)) == []


def test_every_grant_that_may_be_is_some_plans() -> None:
    granted = {
        each["inputs"]["roleDefinitionId"].rpartition("/")[2]
        for variant in VARIANTS
        for each in resources(variant)
        if each["type"] == ASSIGNMENT
    }
    own = [own_actions(resources(variant)) for variant in VARIANTS]
    assert granted == set(GRANTS) | {guid for roles in own for guid in roles}
    assert {actions for roles in own for actions in roles.values()} == set(OWN)
    assert {actions_in_cosmos(each) for each in resources(COSMOS_DB) if each["type"] == COSMOS_ROLE} == set(IN_COSMOS)


@pytest.mark.parametrize(
    ("name", "way", "value", "rule"),
    [
        ("-endpoint-app", "configuration.ingress.allowInsecure", True, "unencrypted"),
        ("-endpoint-app", "configuration.ingress.external", True, "open to anyone"),
        ("-endpoint-app", "identity.type", "None", "nobody's identity"),
        ("-endpoint-app", "template.scale.maxReplicas", None, "unbounded"),
        ("-endpoint-app", "template.containers", [{"image": "images.azurecr.io/endpoint:latest"}], "unbounded"),
        (
            "-endpoint-app",
            "template.containers",
            [{"image": f"i@sha256:{'0' * 64}", "env": [{"name": "DB_PASSWORD", "value": "x"}]}],
            "a secret in clear",
        ),
        ("-function-app", "configuration.secrets", [{"name": "s", "value": "AccountKey=x"}], "a secret in clear"),
        ("-gateway-invoke", "globalValidation.unauthenticatedClientAction", "AllowAnonymous", "open to anyone"),
        ("-gateway-invoke", "globalValidation.excludedPaths", ["/health/*"], "open to anyone"),
        ("-gateway-invoke", "platform.enabled", False, "open to anyone"),
        ("-gateway-invoke", "identityProviders.azureActiveDirectory.validation.allowedAudiences", [], "open to anyone"),
        (
            "-gateway-invoke",
            "identityProviders.azureActiveDirectory.validation.defaultAuthorizationPolicy.allowedPrincipals.identities",
            [],
            "open to anyone",
        ),
        ("-gateway-invoke", "containerAppName", "another", "open to anyone"),
        ("-gateway-policy", "value", '<policies><inbound><set-backend-service base-url="http://x" /></inbound></policies>', "unencrypted"),
        ("-gateway-policy", "value", "<policies><inbound><origin>*</origin></inbound></policies>", "open to anyone"),
        ("-gateway-product", "subscriptionRequired", False, "open to anyone"),
        ("-gateway-api", "protocols", ["https", "http"], "unencrypted"),
        ("-image-registry", "adminUserEnabled", True, "local auth"),
        ("-image-registry", "anonymousPullEnabled", True, "open to anyone"),
        ("-models-account", "allowBlobPublicAccess", True, "open to anyone"),
        ("-models-account", "minimumTlsVersion", "TLS1_0", "unencrypted"),
        ("-models-account", "defaultToOAuthAuthentication", False, "local auth"),
        ("-models-container", "publicAccess", "Blob", "open to anyone"),
        ("-environment-workspace", "features.disableLocalAuth", False, "local auth"),
        ("-environment-logs", "logs", [{"category": "ContainerAppConsoleLogs", "enabled": False}], "unlogged"),
        ("-endpoint-reads-model", "scope", "/subscriptions/s/resourceGroups/g", "wider than its use"),
        ("-endpoint-reads-model", "roleDefinitionId", "…/8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "wider than its use"),
        ("-endpoint-reads-model", "principalType", "User", "wider than its use"),
        ("-endpoint-reads-model", "principalId", "11111111-1111-1111-1111-111111111111", "wider than its use"),
    ],
)
def test_each_rule_finds_its_fault(name: str, way: str, value: Any, rule: str) -> None:
    """The plan, which is found no fault with, with one thing changed."""
    assert broken_rules(API, name, way, value) == {rule}


@pytest.mark.parametrize(
    ("stack", "name", "way", "value", "rule"),
    [
        (EVENTS, "-function-app", "identity.type", "None", "nobody's identity"),
        (EVENTS, "-delivery-topic", "identity.type", "SystemAssigned", "nobody's identity"),
        (EVENTS, "-delivery-subscription", "deliveryWithResourceIdentity", None, "nobody's identity"),
        (EVENTS, "-delivery-subscription", "deadLetterWithResourceIdentity.identity", None, "nobody's identity"),
        (EVENTS, "-delivery-tells", "scope", "…/storageAccounts/work", "wider than its use"),
        (EVENTS, "-function-takes-events", "scope", "…/queueServices/default/queues/results", "wider than its use"),
        (EVENTS, "-function-writes-rows", "scope", f"…/storageAccounts/work{'0' * 16}", "wider than its use"),
        (EVENTS, "-function-writes-results", "scope", "…/blobServices/default/containers/objects", "wider than its use"),
        (EVENTS, "-objects-account", "allowSharedKeyAccess", True, "local auth"),
        (EVENTS, "-objects-objects", "publicAccess", "Blob", "open to anyone"),
        (API, "-forgets-job", "identity.type", "None", "nobody's identity"),
        (API, "-forgets-job", "configuration.replicaTimeout", None, "unbounded"),
        (API, "-forgets-job", "template.containers", [{"image": "images.azurecr.io/functions:latest"}], "unbounded"),
        (
            API,
            "-forgets-job",
            "template.containers",
            [{"image": f"i@sha256:{'0' * 64}", "env": [{"name": "DB_PASSWORD", "value": "x"}]}],
            "a secret in clear",
        ),
        (COSMOS_DB, "-results-cosmos", "disableLocalAuth", None, "local auth"),
        (COSMOS_DB, "-results-cosmos", "disableKeyBasedMetadataWriteAccess", False, "local auth"),
        (COSMOS_DB, "-results-cosmos", "minimalTlsVersion", None, "unencrypted"),
        (COSMOS_DB, "-function-writes-rows", "scope", "/subscriptions/s/resourceGroups/g", "wider than its use"),
        (COSMOS_DB, "-function-writes-rows", "roleDefinitionId", f"…/tableRoleDefinitions/{0:035}2", "wider than its use"),
        (COSMOS_DB, "-function-writes-rows", "principalId", "11111111-1111-1111-1111-111111111111", "wider than its use"),
        (COSMOS_DB, "-results-cosmos-role", "permissions", [{"dataActions": ["*"]}], "wider than its use"),
        (TRACED, "-function-spans", "scope", "…/components/x/others/y", "wider than its use"),
        (
            TRACED,
            # The variant is in a network too, whose mark its apps have.
            "-endpoint-app-ddef16",
            "template.containers",
            [{"image": f"i@sha256:{'0' * 64}", "env": [{"name": "APPLICATIONINSIGHTS_CONNECTION_STRING", "value": "of another"}]}],
            "a secret in clear",
        ),
        (DROPS, "-floor-changes", "scope", "/subscriptions/s/resourceGroups/g", "wider than its use"),
        (DROPS, "-floor-asks", "scope", "/subscriptions/s", "wider than its use"),
        (DROPS, "-floor-changes-role", "permissions", [{"actions": ["Microsoft.App/*"]}], "wider than its use"),
        (DROPS, "-floor-job", "configuration.replicaTimeout", None, "unbounded"),
    ],
)
def test_each_rule_finds_its_fault_in_pipelines_and_jobs(stack: str, name: str, way: str, value: Any, rule: str) -> None:
    assert broken_rules(stack, name, way, value) == {rule}


def test_a_component_with_local_auth_makes_its_address_a_secret() -> None:
    assert broken_rules(TRACED, "-insights-component", "disableLocalAuth", False) == {"local auth", "a secret in clear"}


def broken_rules(stack: str, name: str, way: str, value: Any) -> set[str]:
    plan = copy.deepcopy(resources(stack))
    [broken] = [each for each in plan if each["name"].endswith(name)]
    place = broken["inputs"]
    *steps, last = way.split(".")
    for step in steps:
        place = place[step]
    place[last] = value
    return {each.partition(":")[0] for each in findings(plan)}


def test_another_account_with_shared_keys_is_found() -> None:
    plan = copy.deepcopy(resources(API))
    [account] = [each for each in plan if each["name"].endswith("-models-account")]
    plan.append({**account, "name": "api-other-account"})
    assert findings(plan) == ["local auth: api-other-account: allowSharedKeyAccess is not False"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_app_keeps_its_callers_at_one_replica(variant: str) -> None:
    apps = [each["inputs"]["configuration"].get("ingress") for each in resources(variant) if each["type"] == APP]
    reached = [each for each in apps if each]
    assert reached
    assert [each.get("stickySessions") for each in reached] == [None] * len(reached)


def test_versions_of_apis_are_those_that_are_supported() -> None:
    """PSRule's least version of Microsoft.App; previews of others are not to be deployed with."""
    versions = {(each["type"].partition("/")[0], each["apiVersion"]) for each in templates(API)}
    assert min(version for namespace, version in versions if namespace == "Microsoft.App") >= "2022-11-01-preview"
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d(-preview)?", version) for _, version in versions)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_section_of_a_policy_begins_with_what_is_above_it(variant: str) -> None:
    """But `backend` of the API, which forwards in the place of what is above it, which would forward again."""
    for each in resources(variant):
        if each["type"].endswith(("ApiPolicy", "ProductPolicy")):
            for section in ElementTree.fromstring(each["inputs"]["value"]):
                first = "forward-request" if section.tag == "backend" and each["type"].endswith("ApiPolicy") else "base"
                assert section[0].tag == first, (each["name"], section.tag)


def test_each_external_app_has_one_guard() -> None:
    for variant in VARIANTS:
        guarded = [each["inputs"]["containerAppName"] for each in resources(variant) if each["type"] == GUARD]
        apps = [each["inputs"] for each in resources(variant) if each["type"] == APP]
        outside = [each["containerAppName"] for each in apps if (each["configuration"].get("ingress") or {}).get("external")]
        assert sorted(guarded) == sorted(outside)
        assert len(outside) == (0 if "-events" in variant else 1)
