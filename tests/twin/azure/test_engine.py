"""The real engine and Azure's real SDK on a whole twin: a program comes up, stays, changes and goes; what is wrong is refused."""

from __future__ import annotations

import json
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pulumi
import pulumi_azure_native as azure
import pulumi_docker_build as docker_build
import pytest

from pilotlight.twin import client
from pilotlight.twin.azure import registry, types
from pilotlight.twin.azure.account import SUBSCRIPTION, TENANT
from tests.support.size import only_all
from tests.twin.engine.project import EngineFailed, Project
from tests.twin.gcp.conftest import Twin
from tests.twin.gcp.program import write_sources

# Roles' ids are the same in every tenant.
PULL = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
NAMED = {"group": "tried", "images": "triedimages"}


@pytest.fixture(autouse=True)
def trusted(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, which is in this process, trusts the twin's TLS front, as one of `pilotlight up` does."""
    for name, value in client.azure(client.ensure_running(twin.home)).items():
        monkeypatch.setenv(name, value)


def login(server: str, token: str) -> str:
    """The password of a registry, as a program gets it."""
    form = {"grant_type": "access_token", "service": server, "tenant": TENANT, "access_token": token}
    request = urllib.request.Request(f"https://{server}/oauth2/exchange", urllib.parse.urlencode(form).encode())
    with urllib.request.urlopen(request, context=ssl.create_default_context()) as answer:
        return str(json.load(answer)["refresh_token"])


class Program:
    """Calling it declares a group, logs, somebody, a registry with an image and rights on it, and an environment."""

    def __init__(self, source: Path, days: int = 30) -> None:
        self.source, self.days = source, days

    def __call__(self) -> None:
        group = azure.resources.ResourceGroup("tried", resource_group_name=NAMED["group"], tags={"stack": "tried"})
        logs = azure.operationalinsights.Workspace(
            "logs",
            resource_group_name=group.name,
            retention_in_days=self.days,
            features={"disable_local_auth": True},
            sku={"name": "PerGB2018"},
        )
        who = azure.managedidentity.UserAssignedIdentity("endpoint", resource_group_name=group.name)
        images = azure.containerregistry.Registry(
            "images",
            resource_group_name=group.name,
            registry_name=NAMED["images"],
            sku=azure.containerregistry.SkuArgs(name="Basic"),
            admin_user_enabled=False,
        )
        azure.authorization.RoleAssignment(
            "pulls",
            scope=images.id,
            principal_id=who.principal_id,
            principal_type="ServicePrincipal",
            role_definition_id=PULL,
            role_assignment_name="11111111-2222-4333-8444-555555555555",
        )
        apps = azure.app.ManagedEnvironment(
            "apps",
            resource_group_name=group.name,
            app_logs_configuration={"destination": "azure-monitor"},
            identity={"type": "UserAssigned", "user_assigned_identities": [who.id]},
            workload_profiles=[{"name": "Consumption", "workload_profile_type": "Consumption"}],
        )
        azure.monitor.DiagnosticSetting(
            "logs-of-apps",
            resource_uri=apps.id,
            workspace_id=logs.id,
            logs=[{"category_group": "allLogs", "enabled": True}],
        )
        for name, value in {"domain": apps.default_domain, "client": who.client_id, "image": self._image(images)}.items():
            pulumi.export(name, value)

    def _image(self, images: azure.containerregistry.Registry) -> pulumi.Output[str]:
        token = azure.authorization.get_client_token_output().token
        password = pulumi.Output.all(images.login_server, token).apply(lambda both: login(*both))
        image = docker_build.Image(
            "server",
            tags=[pulumi.Output.format("{0}/server:one", images.login_server)],
            exports=[{"registry": {"oci_media_types": True}}],
            push=False,
            context={"location": str(self.source)},
            dockerfile={"location": str(self.source / "Dockerfile")},
            target="cpu",
            registries=[{"address": images.login_server, "username": registry.USER, "password": pulumi.Output.secret(password)}],
        )
        return pulumi.Output.format("{0}/server@{1}", images.login_server, image.digest)


def outputs(project: Project, program: Callable[[], None]) -> dict[str, str]:
    return {name: output.value for name, output in project.stack(program).outputs().items()}


@only_all
def test_a_program_comes_up_stays_changes_and_goes(twin: Twin, project: Callable[..., Project]) -> None:
    source = write_sources(twin.program)
    one, first = project(), Program(source)
    planned = one.preview(first)
    assert planned == {"create": 9}
    assert twin.held() == []
    assert one.up(first) == planned
    told = outputs(one, first)
    assert told["domain"].endswith(".westeurope.azurecontainerapps.io")
    assert f"/acr/{NAMED['images']}/server@sha256:" in told["image"]
    held = dict(twin.held())
    assert held[types.GROUP] == f"/subscriptions/{SUBSCRIPTION}/resourceGroups/tried"
    assert held[registry.PUSHED.token].startswith(held[types.REGISTRY])
    assert one.up(first) == {"same": 9}

    ports = twin.ports()
    twin.restart()
    assert twin.ports() == ports
    assert one.up(first) == {"same": 9}
    assert one.refresh(first) == {"same": 9}

    assert one.up(Program(source, days=60)) == {"same": 8, "update": 1}
    assert outputs(one, first) == told
    assert one.destroy(first) == {"delete": 9}
    assert twin.held() == []


def test_what_only_the_cloud_knows_is_unknown_in_the_preview(twin: Twin, project: Callable[..., Project]) -> None:
    seen: list[str] = []

    def program() -> None:
        group = azure.resources.ResourceGroup("tried")
        apps = azure.app.ManagedEnvironment("apps", resource_group_name=group.name, identity={"type": "SystemAssigned"})
        for value in (apps.default_domain, apps.identity.principal_id, group.location, group.name):
            pulumi.Output.all(value).apply(lambda known: seen.append(str(known[0])))

    project().preview(program)
    assert seen == ["westeurope"]


def test_every_mistake_fails_in_the_preview_with_what_is_allowed(twin: Twin, project: Callable[..., Project]) -> None:
    def wrong() -> None:
        azure.containerregistry.Registry(
            "my-images",
            resource_group_name="tried",
            location="west-europe",
            sku={"name": "Basics"},
            policies={"retentionPolicies": {"days": 1}},
        )

    with pytest.raises(EngineFailed) as caught:
        project().preview(wrong)
    said = str(caught.value)
    for problem in (
        "registryName: the generated name 'my-images",
        "location: 'west-europe' is no location of Azure's public cloud: did you mean 'westeurope'?",
        "sku.name: 'Basics' is not allowed: use one of Classic, Basic, Standard, Premium.",
        "policies.retentionPolicies: is not known: did you mean 'retentionPolicy'?",
    ):
        assert problem in said

    def missing() -> None:
        azure.app.ManagedEnvironment("apps", resource_group_name="tried", environment_name="a", workload_profiles=[{"name": "one"}])

    with pytest.raises(EngineFailed) as caught:
        project("missing").preview(missing)
    assert "workloadProfiles[0].workloadProfileType: is missing and required." in str(caught.value)
    assert "environmentName: 'a' is not allowed: use 2 to 60" in str(caught.value)

    def unknown() -> None:
        azure.web.AppServicePlan("plan", resource_group_name="tried")

    with pytest.raises(EngineFailed, match=r"the resource type 'azure-native:web:AppServicePlan'.*in pilotlight/twin/azure/\."):
        project("unknown").preview(unknown)


def test_what_is_refused_at_creation_says_what_to_do(twin: Twin, project: Callable[..., Project]) -> None:
    def program() -> None:
        azure.operationalinsights.Workspace("logs", resource_group_name="nobodys")

    with pytest.raises(EngineFailed) as caught:
        project().up(program)
    assert "ResourceGroupNotFound: Resource group 'nobodys' could not be found: make it first, or mend the name." in str(caught.value)
    assert twin.held() == []


@only_all
def test_the_subscription_comes_from_the_program_its_configuration_and_the_shell(
    twin: Twin, project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, ours, shells = (f"{number * 8}-2222-4333-8444-555555555555" for number in "179")

    def program() -> None:
        other = azure.Provider("other", subscription_id=mine, location="northeurope")
        here = azure.resources.ResourceGroup("here", resource_group_name="here")
        there = azure.resources.ResourceGroup("there", resource_group_name="there", opts=pulumi.ResourceOptions(provider=other))
        pulumi.export("here", here.id)
        pulumi.export("there", pulumi.Output.format("{0} {1}", there.id, there.location))
        pulumi.export("told", azure.authorization.get_client_config_output().subscription_id)

    one = project("configured", {"azure-native:location": "westeurope", "azure-native:subscriptionId": ours})
    one.up(program)
    assert outputs(one, program) == {
        "here": f"/subscriptions/{ours}/resourceGroups/here",
        "there": f"/subscriptions/{mine}/resourceGroups/there northeurope",
        "told": ours,
    }
    one.destroy(program)
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", shells)
    two = project("shell")
    two.up(program)
    assert outputs(two, program)["told"] == shells
    with pytest.raises(EngineFailed, match="subscriptionId: 'mine' is no id: use the GUID that `az account show` tells"):
        project("wrong", {"azure-native:subscriptionId": "mine"}).preview(program)
