"""What the ready API on Azure registers: identities, order, what is open to whom."""

from typing import Any

import pulumi
import pytest

from pilotlight import planned_azure
from tests.planned.azure.conftest import (
    ACCOUNT,
    ALERT,
    APP,
    ASSIGNMENT,
    BLOB,
    CONTAINER,
    DIAGNOSTIC,
    ENVIRONMENT,
    GROUP,
    GUARD,
    IDENTITY,
    IMAGE,
    KEY,
    LIMITS,
    LOG_ALERT,
    MAIL,
    OPERATION,
    POLICY,
    PREFIX,
    PRODUCT_API,
    REGISTRY,
    SERVICE,
    SETTING,
    STACK,
    WORKSPACE,
    container,
    plan_of,
    variables,
)

# (what waits, for what): what a first deploy fails without, or is open without. `type*ending-of-name`
EDGES = [
    (f"{APP}*endpoint-app", f"{ASSIGNMENT}*endpoint-pulls"),
    (f"{APP}*endpoint-app", f"{ASSIGNMENT}*endpoint-reads-model"),
    (f"{APP}*endpoint-app", BLOB),
    (f"{APP}*endpoint-app", f"{IMAGE}*image-build"),
    (f"{APP}*endpoint-app", SETTING),
    (f"{APP}*function-app", f"{ASSIGNMENT}*function-pulls"),
    (f"{APP}*function-app", f"{IMAGE}*image-functions"),
    (f"{APP}*function-app", f"{APP}*endpoint-app"),
    (f"{IMAGE}*image-build", REGISTRY),
    (SETTING, ENVIRONMENT),
    (SETTING, WORKSPACE),
    (GUARD, f"{APP}*function-app"),
    (GUARD, f"{IDENTITY}*gateway-identity"),
    (POLICY, GUARD),
    (KEY, POLICY),
    (KEY, LIMITS),
]


@pytest.mark.parametrize(("waits", "for_"), EDGES)
def test_a_first_deploy_makes_things_in_an_order_that_works(waits: str, for_: str) -> None:
    plan = plan_of()
    found = [plan.one(*each.split("*")) for each in (waits, for_)]
    assert found[1].urn in plan.before(found[0])


def test_what_changes_the_api_comes_one_after_the_other() -> None:
    """API Management refuses a second change of an API while one is under way."""
    made = plan_of({"answers.async": True, "tracing": True})
    changes = [each for each in made.resources if each.type in (POLICY, OPERATION, DIAGNOSTIC, PRODUCT_API)]
    assert len(changes) == 5
    assert sorted(len({other.urn for other in changes} & made.before(each)) for each in changes) == [0, 1, 2, 3, 4]


def test_the_functions_guard_waits_for_nothing_that_takes_minutes() -> None:
    """Until it is there the function is open to the network."""
    plan = plan_of()
    assert plan.one(SERVICE).urn not in plan.before(plan.one(GUARD))


def test_everything_lies_in_the_stacks_own_group_in_one_location() -> None:
    plan = plan_of()
    group = plan.one(GROUP)
    assert (group.inputs["resourceGroupName"], group.inputs["location"]) == (PREFIX, "westeurope")
    named = [each for each in plan.resources if "resourceGroupName" in each.inputs and each.type != GROUP]
    assert {each.inputs["resourceGroupName"] for each in named} == {PREFIX}
    assert all(group.urn in plan.before(each) for each in named)
    assert {each.inputs["location"] for each in plan.resources if "location" in each.inputs} == {"westeurope", "global"}


def test_every_app_runs_and_pulls_as_an_identity_of_its_own() -> None:
    plan = plan_of()
    server = plan.one(REGISTRY).outputs["loginServer"]
    runs_as = {}
    for each in plan.all(APP):
        assert each.inputs["identity"]["type"] == "UserAssigned"
        [identity] = each.inputs["identity"]["userAssignedIdentities"]
        assert each.inputs["configuration"]["registries"] == [{"server": server, "identity": identity}]
        runs_as[each.name] = identity.rpartition("/")[2]
    assert runs_as == {"api-endpoint-app": f"{PREFIX}-endpoint", "api-function-app": f"{PREFIX}-api"}
    assert {each.inputs["resourceName"] for each in plan.all(IDENTITY)} == {*runs_as.values(), f"{PREFIX}-gateway"}


def test_each_is_told_which_identity_it_is() -> None:
    plan = plan_of()
    for app, identity in (("endpoint-app", "endpoint-identity"), ("function-app", "function-identity")):
        assert variables(plan.one(APP, app))["AZURE_CLIENT_ID"] == plan.one(IDENTITY, identity).outputs["clientId"]


def test_each_identity_may_do_just_its_own() -> None:
    plan = plan_of()
    who = {each.outputs["principalId"]: each.inputs["resourceName"].removeprefix(f"{PREFIX}-") for each in plan.all(IDENTITY)}
    granted = {
        (who[each.inputs["principalId"]], each.inputs["roleDefinitionId"].rpartition("/")[2], each.inputs["scope"])
        for each in plan.all(ASSIGNMENT)
    }
    registry, models = plan.one(REGISTRY).outputs["id"], plan.one(CONTAINER).outputs["id"]
    assert granted == {
        ("endpoint", "7f951dda-4ed3-4680-a7ca-43fe172d538d", registry),
        ("endpoint", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", models),
        ("api", "7f951dda-4ed3-4680-a7ca-43fe172d538d", registry),
    }
    assert models.endswith("/containers/models")
    assert {each.inputs["principalType"] for each in plan.all(ASSIGNMENT)} == {"ServicePrincipal"}


def test_names_of_assignments_are_the_same_in_every_run_and_in_no_two_stacks() -> None:
    names = [each.inputs["roleAssignmentName"] for each in plan_of().all(ASSIGNMENT)]
    again = [each.inputs["roleAssignmentName"] for each in plan_of({"alarms.email": "ops@example.com"}).all(ASSIGNMENT)]
    assert names == again
    assert len(set(names)) == 3


def test_the_model_lies_under_its_hash_in_a_container_that_nobody_lists_from_outside() -> None:
    plan = plan_of()
    account, blob = plan.one(ACCOUNT), plan.one(BLOB)
    assert account.inputs["allowBlobPublicAccess"] is False
    assert (account.inputs["minimumTlsVersion"], account.inputs["enableHttpsTrafficOnly"]) == ("TLS1_2", True)
    assert plan.one(CONTAINER).inputs["publicAccess"] == "None"
    assert len(blob.inputs["blobName"].split("/")[0]) == 64
    assert variables(plan.one(APP, "endpoint-app"))["MODEL_URI"] == blob.outputs["url"]


def test_the_model_of_before_stays_until_nothing_starts_from_it() -> None:
    """azure-native deletes first what a replacement names anew; replicas of before that start meanwhile would find nothing."""
    assert plan_of().one(BLOB, "model").delete_first is False


def test_what_runs_is_named_by_digest_and_built_from_relative_paths() -> None:
    plan = plan_of()
    server, digest = plan.one(REGISTRY).outputs["loginServer"], "sha256:" + "d" * 64
    images = {each.name: container(each)["image"] for each in plan.all(APP)}
    assert images == {"api-endpoint-app": f"{server}/endpoint@{digest}", "api-function-app": f"{server}/functions@{digest}"}
    assert sorted(each.inputs["target"] for each in plan.all(IMAGE)) == ["cpu", "function-azure"]
    for each in plan.all(IMAGE):
        assert (each.inputs["context"], each.inputs["dockerfile"]) == ({"location": ".."}, {"location": "../containers/Dockerfile"})
        [login] = each.inputs["registries"]
        assert login == {"address": server, "username": "00000000-0000-0000-0000-000000000000", "password": "registry-password"}


def test_an_image_by_digest_is_pulled_from_its_own_registry_and_the_functions_from_the_stacks() -> None:
    uri = "others.azurecr.io/served@sha256:" + "e" * 64
    plan = plan_of({"image": {"uri": uri}})
    endpoint, function = plan.one(APP, "endpoint-app"), plan.one(APP, "function-app")
    assert container(endpoint)["image"] == uri
    servers = [each.inputs["configuration"]["registries"][0]["server"] for each in (endpoint, function)]
    assert servers == ["others.azurecr.io", plan.one(REGISTRY).outputs["loginServer"]]
    assert plan.one(IMAGE).inputs["target"] == "function-azure"
    # The endpoint has no business in the stack's own.
    assert [each.name for each in plan.all(ASSIGNMENT) if "/registries/" in each.inputs["scope"]] == ["api-function-pulls"]


def test_an_image_by_digest_of_the_stacks_own_registry_is_pulled_with_the_grant_there() -> None:
    server = plan_of().one(REGISTRY).outputs["loginServer"]
    plan = plan_of({"image": {"uri": f"{server}/endpoint@sha256:{'e' * 64}"}})
    assert plan.one(APP, "endpoint-app").inputs["configuration"]["registries"][0]["server"] == server
    pulling = {each.name for each in plan.all(ASSIGNMENT) if "/registries/" in each.inputs["scope"]}
    assert pulling == {"api-endpoint-pulls", "api-function-pulls"}


def test_the_endpoint_is_reached_from_its_environment_alone_and_the_function_from_the_network() -> None:
    plan = plan_of()
    ingress = {each.name: each.inputs["configuration"]["ingress"] for each in plan.all(APP)}
    same = {"targetPort": 8080, "transport": "http", "allowInsecure": False}
    assert ingress == {"api-endpoint-app": {"external": False, **same}, "api-function-app": {"external": True, **same}}
    environments = {each.inputs["environmentId"] for each in plan.all(APP)}
    assert environments == {plan.one(ENVIRONMENT).outputs["id"]}
    # A secret in a configuration would make every output of the app one, its address too.
    assert all("secrets" not in each.inputs["configuration"] for each in plan.all(APP))


def test_the_endpoint_takes_so_many_requests_as_the_setting_says_and_is_bounded() -> None:
    for settings, requests, replicas in (
        ({}, "2", 5),
        ({"endpoint.maxConcurrency": 11}, "2", 6),
        ({"endpoint.requestsPerInstance": 4}, "4", 3),
    ):
        scale = plan_of(settings).one(APP, "endpoint-app").inputs["template"]["scale"]
        assert scale["rules"] == [{"name": "http-0", "http": {"metadata": {"concurrentRequests": requests}}}]
        assert (scale["minReplicas"], scale["maxReplicas"]) == (0, replicas)
        assert (scale["pollingInterval"], scale["cooldownPeriod"]) == (30, 300)


@pytest.mark.parametrize(("memory", "cpu", "words"), [(512, 0.25, "0.5Gi"), (2048, 1, "2Gi"), (3584, 1.75, "3.5Gi"), (8192, 4, "8Gi")])
def test_vcpus_follow_from_memory(memory: int, cpu: float, words: str) -> None:
    changes = {"endpoint.memoryMb": memory, "function": {"memoryMb": memory}}
    for each in plan_of(changes).all(APP):
        assert container(each)["resources"] == {"cpu": cpu, "memory": words}
        assert each.inputs["workloadProfileName"] == "Consumption"


def test_the_endpoint_is_probed_and_gets_requests_once_its_model_is_there() -> None:
    probes = {each["type"]: each for each in container(plan_of().one(APP, "endpoint-app"))["probes"]}
    assert {name: each["httpGet"] for name, each in probes.items()} == {
        "Startup": {"path": "/health/live", "port": 8080},
        "Liveness": {"path": "/health/live", "port": 8080},
        "Readiness": {"path": "/health/ready", "port": 8080},
    }
    assert probes["Readiness"]["periodSeconds"] == 1


def test_a_registry_is_of_the_tier_that_is_asked_for_whether_the_image_is_built_or_named() -> None:
    def tier(**changes: Any) -> str:
        return str(plan_of(changes).one(REGISTRY).inputs["sku"]["name"])

    assert (tier(), tier(**{"image.registry": "premium"})) == ("Basic", "Premium")
    assert tier(**{"image": {"uri": f"others.azurecr.io/served@sha256:{'e' * 64}", "registry": "premium"}}) == "Premium"


def test_the_function_is_probed_and_gets_requests_as_soon_as_it_listens() -> None:
    probes = {each["type"]: each for each in container(plan_of().one(APP, "function-app"))["probes"]}
    assert {name: each["httpGet"] for name, each in probes.items()} == {
        "Liveness": {"path": "/health/live", "port": 8080},
        "Readiness": {"path": "/health/ready", "port": 8080},
    }
    assert (probes["Readiness"]["periodSeconds"], probes["Readiness"]["timeoutSeconds"]) == (1, 5)


def test_each_hop_is_told_its_deadline() -> None:
    plan = plan_of()
    assert 'timeout="30"' in plan.one(POLICY).inputs["value"]
    function, endpoint = variables(plan.one(APP, "function-app")), variables(plan.one(APP, "endpoint-app"))
    assert (function["REQUEST_TIMEOUT_S"], function["ENDPOINT_TIMEOUT_S"], endpoint["REQUEST_TIMEOUT_S"]) == ("29", "28", "5")


def test_the_function_is_told_its_endpoint_and_its_role() -> None:
    plan = plan_of()
    function = plan.one(APP, "function-app")
    host = plan.one(APP, "endpoint-app").outputs["configuration"]["ingress"]["fqdn"]
    assert container(function)["args"] == ["api"]
    assert variables(function) | {"AZURE_CLIENT_ID": ""} == {
        "ENDPOINT_URL": f"https://{host}",
        "ENDPOINT_TIMEOUT_S": "28",
        "REQUEST_TIMEOUT_S": "29",
        "MAX_BODY_BYTES": "2097152",
        "MODEL_TASK": "feature-extraction",
        "SERVICE": STACK,
        "CONCURRENCY": "32",
        "AZURE_CLIENT_ID": "",
    }
    assert ".internal." in host


def test_lines_go_to_the_workspace_without_a_key() -> None:
    plan = plan_of({"logs": {"retentionDays": 90}})
    workspace, setting = plan.one(WORKSPACE), plan.one(SETTING)
    assert (workspace.inputs["retentionInDays"], workspace.inputs["features"]) == (90, {"disableLocalAuth": True})
    assert plan.one(ENVIRONMENT).inputs["appLogsConfiguration"] == {"destination": "azure-monitor"}
    assert setting.inputs["resourceUri"] == plan.one(ENVIRONMENT).outputs["id"]
    assert setting.inputs["workspaceId"] == workspace.outputs["id"]
    assert {each["category"]: each["enabled"] for each in setting.inputs["logs"]} == {
        "ContainerAppConsoleLogs": True,
        "ContainerAppSystemLogs": True,
    }


@pytest.mark.parametrize("keep", [True, False])
def test_data_is_protected_or_goes_with_the_stack(keep: bool) -> None:
    plan = plan_of({"dataRetention": "keep" if keep else "delete"})
    protected = {each.type for each in plan.resources if each.protect}
    assert protected == ({ACCOUNT, CONTAINER, REGISTRY} if keep else set())


def test_alerts_watch_metrics_of_the_stacks_own_resources() -> None:
    plan = plan_of()
    watched = {}
    for each in plan.all(ALERT):
        [one] = each.inputs["criteria"]["allOf"]
        where = {dimension["name"]: dimension["values"] for dimension in one.get("dimensions", [])}
        [scope] = each.inputs["scopes"]
        assert each.inputs["location"] == "global"
        assert f"/providers/{one['metricNamespace']}/" in scope
        watched[each.inputs["ruleName"]] = (scope.rpartition("/")[2], one["metricName"], where, one["timeAggregation"], one["threshold"])
    endpoint, function = (plan.one(APP, each).inputs["containerAppName"] for each in ("endpoint-app", "function-app"))
    failed = {"statusCodeCategory": ["5xx"]}
    assert watched == {
        "gateway-errors": (plan.one(SERVICE).outputs["name"], "Requests", {"GatewayResponseCodeCategory": ["5xx"]}, "Total", 0),
        "function-errors": (function, "Requests", failed, "Total", 0),
        "endpoint-errors": (endpoint, "Requests", failed, "Total", 0),
    }
    lines = {each.inputs["ruleName"]: each.inputs["criteria"]["allOf"] for each in plan.all(LOG_ALERT)}
    assert lines.keys() == {"endpoint-latency", "function-latency"}
    for role, app, most in (("endpoint", endpoint, 4500), ("function", function, 26_100)):
        [condition] = lines[f"{role}-latency"]
        assert (condition["timeAggregation"], condition["threshold"]) == ("Count", 0)
        assert f'ContainerAppName == "{app}"' in condition["query"]
        late = f'line.event) == "request" and todouble(line.ms) > {most} and tolong(line.status) != 202'
        assert late in condition["query"]
    assert {each.inputs["criteria"]["allOf"][0]["skipMetricValidation"] for each in plan.all(ALERT)} == {True}, "a job never ran yet"


def test_alarms_mail_only_where_an_address_is_given() -> None:
    silent, loud = plan_of(), plan_of({"alarms.email": "ops@example.com"})
    assert silent.all(MAIL) == []
    assert {"actions" in each.inputs for each in silent.all(ALERT)} == {False}
    mail = loud.one(MAIL)
    assert [each["emailAddress"] for each in mail.inputs["emailReceivers"]] == ["ops@example.com"]
    assert len(mail.inputs["groupShortName"]) <= 12
    assert {each.inputs["actions"][0]["actionGroupId"] for each in loud.all(ALERT)} == {mail.outputs["id"]}


def test_every_type_that_has_tags_carries_the_stacks() -> None:
    plan = plan_of({"tags": {"team": "search"}, "alarms.email": "ops@example.com"})
    tagged = {each.type: each.inputs["tags"] for each in plan.resources if "stack" in each.inputs.get("tags", {})}
    assert {GROUP, REGISTRY, ACCOUNT, WORKSPACE, ENVIRONMENT, APP, IDENTITY, SERVICE, ALERT, LOG_ALERT, MAIL} == set(tagged)
    assert all(each["stack"] == STACK and each["team"] == "search" for each in tagged.values())


def test_without_its_address_an_app_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown outputs read as None: callers would get `https://None`."""
    monkeypatch.setattr(planned_azure, "_addressed", lambda name, known: dict(known["configuration"]))
    with pytest.raises(pulumi.RunError, match="without its address"):
        plan_of({"tags": {"for": "this-test"}})


def test_operations_are_post_predict_alone() -> None:
    operation = plan_of().one(OPERATION).inputs
    assert (operation["method"], operation["urlTemplate"]) == ("POST", "/predict")
