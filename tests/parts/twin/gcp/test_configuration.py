"""What the provider reads of a program's configuration and its shell, and what it fills into resources and functions with it."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from pulumi_gcp import organizations
from pulumi_gcp.storage.get_project_service_account import GetProjectServiceAccountResult

from pilotlight.twin import gcp
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.settings import CONFIGURATION
from pilotlight.twin.gcp.types import PROJECT_MEMBER, REPOSITORY, RUN_SERVICE, TOPIC
from pilotlight.twin.rows import Refusal
from pilotlight.twin.values import UNKNOWN
from tests.parts.twin.gcp.account import PROJECT, REGION, Account


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        ({"project": "a"}, {"GOOGLE_PROJECT": "b"}, {"project": "a"}),
        ({}, {"GOOGLE_PROJECT": "b", "GOOGLE_CLOUD_PROJECT": "c"}, {"project": "b"}),
        ({"project": ""}, {"CLOUDSDK_CORE_PROJECT": "d"}, {"project": "d"}),
        ({"project": "a"}, {"GOOGLE_REGION": "r", "GCLOUD_ZONE": "z"}, {"project": "a", "region": "r", "zone": "z"}),
        ({"userProjectOverride": False}, {}, {"userProjectOverride": False}),
        ({}, {}, {}),
    ],
)
def test_the_configuration_comes_first_then_the_shell(config: dict[str, Any], environment: dict[str, str], expected: Any) -> None:
    assert dict(CONFIGURATION.completed(config, environment)) == expected


def test_labels_of_the_provider_go_on_everything_with_its_own() -> None:
    given = CONFIGURATION.settings({"defaultLabels": json.dumps({"team": "search"})})
    assert given.default_tags == {"goog-pulumi-provisioned": "true", "team": "search"}
    assert CONFIGURATION.settings({"addPulumiAttributionLabel": "false"}).default_tags == {}
    assert CONFIGURATION.settings({"defaultLabels": UNKNOWN}).default_tags == {"goog-pulumi-provisioned": "true"}


def test_project_and_location_are_filled_in_where_they_may_be_left_out(account: Account) -> None:
    assert account.check(TOPIC, "topic", {})[0]["project"] == PROJECT
    repository, _ = account.check(REPOSITORY, "repository", {"repositoryId": "a", "format": "DOCKER"})
    assert (repository["project"], repository["location"]) == (PROJECT, REGION)
    service, problems = account.check(RUN_SERVICE, "service", {"template": {"containers": [{"image": "i"}]}})
    assert "location" not in service
    assert "location: is missing and required." in problems
    member, problems = account.check(PROJECT_MEMBER, "member", {"role": "roles/run.invoker", "member": "allUsers"})
    assert "project" not in member
    assert "project: is missing and required." in problems


def test_a_generated_name_is_kept_over_updates(account: Account) -> None:
    first, _ = account.check(TOPIC, "topic", {})
    assert first["name"].startswith("topic-")
    assert account.check(TOPIC, "topic", {}, first)[0]["name"] == first["name"]
    service, _ = account.check(RUN_SERVICE, "Upper", {"location": REGION, "template": {"containers": [{"image": "i"}]}})
    assert service["name"].startswith("upper-")


def answer(account: Account, function: str, **args: Any) -> dict[str, Any]:
    found: dict[str, Any] = gcp.invokes()[f"gcp:{function}"].answer(account.twin, {**account.settings.filled, **args})
    return found


def test_functions_tell_about_project_and_caller(account: Account) -> None:
    project = answer(account, "organizations/getProject:getProject")
    assert (project["projectId"], project["number"], project["id"]) == (PROJECT, project_number(PROJECT), f"projects/{PROJECT}")
    assert answer(account, "organizations/getProject:getProject", projectId="other-project")["projectId"] == "other-project"
    client = answer(account, "organizations/getClientConfig:getClientConfig")
    assert (client["project"], client["region"], client["zone"]) == (PROJECT, REGION, "")
    agent = answer(account, "storage/getProjectServiceAccount:getProjectServiceAccount")
    assert agent["member"] == f"serviceAccount:service-{project_number(PROJECT)}@gs-project-accounts.iam.gserviceaccount.com"
    with pytest.raises(Refusal, match="'X' is no project id"):
        answer(account, "organizations/getProject:getProject", projectId="X")


def test_a_policy_is_written_in_one_order(account: Account) -> None:
    bindings = [{"role": "roles/b", "members": ["user:z@a.b", "user:a@a.b"]}, {"role": "roles/a", "members": []}]
    text = answer(account, "organizations/getIAMPolicy:getIAMPolicy", bindings=bindings)["policyData"]
    assert json.loads(text) == {
        "bindings": [{"role": "roles/a", "members": []}, {"role": "roles/b", "members": ["user:a@a.b", "user:z@a.b"]}]
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def test_every_function_gives_all_that_the_sdk_reads(account: Account) -> None:
    read = {
        "organizations/getProject:getProject": organizations.GetProjectResult,
        "organizations/getClientConfig:getClientConfig": organizations.GetClientConfigResult,
        "organizations/getIAMPolicy:getIAMPolicy": organizations.GetIAMPolicyResult,
        "storage/getProjectServiceAccount:getProjectServiceAccount": GetProjectServiceAccountResult,
    }
    assert sorted(gcp.invokes()) == sorted(f"gcp:{name}" for name in read)
    # What was given comes back, and is not there where it was not.
    given = {"bindings", "auditConfigs", "userProject"}
    for name, result in read.items():
        asked = {_camel(parameter) for parameter in inspect.signature(result.__init__).parameters if parameter != "__self__"}
        assert asked - {"self"} - given <= set(answer(account, name)), name
