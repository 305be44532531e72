"""Lines of containers on their way to a workspace, and who may look for them there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pilotlight.twin.azure.account import PRINCIPAL
from pilotlight.twin.azure.apps_revision import Program
from pilotlight.twin.azure.log_analytics import PLACE, Lines, LogAnalytics
from pilotlight.twin.azure.planes import azure_planes
from pilotlight.twin.azure.types import APP, DIAGNOSTIC_SETTING, ENVIRONMENT, ROLE_ASSIGNMENT, WORKSPACE
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account
from tests.parts.twin.azure.front import served
from tests.parts.twin.azure.people import assignment, identity

SENT = [{"category": "ContainerAppConsoleLogs", "enabled": True}]
CONSOLE = "ContainerAppConsoleLogs"
PROFILES = [{"name": "Consumption", "workloadProfileType": "Consumption"}]


class Logs:
    """An environment, a workspace, a container that writes, and what a query finds."""

    def __init__(self, account: Account, front: str) -> None:
        self.account, self.front = account, front
        account.group()
        self.workspace = account.make(WORKSPACE, "logs", {**IN_GROUP, "workspaceName": "logs"})
        self.environment = self.environment_of("azure-monitor")

    def environment_of(self, destination: str | None) -> Resource:
        inputs: dict[str, Any] = {**IN_GROUP, "environmentName": f"env-{destination or 'none'}", "workloadProfiles": PROFILES}
        if destination:
            inputs["appLogsConfiguration"] = {"destination": destination}
        return self.account.make(ENVIRONMENT, inputs["environmentName"], inputs)

    def sends(self, environment: Resource, logs: list[dict[str, Any]]) -> Resource:
        inputs = {"name": "logs", "resourceUri": environment.id, "workspaceId": self.workspace.id, "logs": logs}
        return self.account.make(DIAGNOSTIC_SETTING, f"logs-{environment['name']}", inputs)

    def container(self, environment: Resource, name: str = "api", execution: str = "") -> Lines:
        template = {"containers": [{"name": "main", "image": "x/y@sha256:0"}]}
        id_ = f"{GROUP_ID}/providers/Microsoft.App/containerApps/{name}"
        owner = Resource(token=APP, id=id_, urn="", outputs={"template": template, "location": "West Europe"})
        program = Program(
            owner=owner,
            environment_id=environment.id,
            domain="d",
            image="i",
            command=(),
            args=(),
            environment={},
            memory_mb=1,
            listens=None,
        )
        return Lines(self.account.twin, program, f"{name}--1-abc", revision="" if execution else f"{name}--1", execution=execution)

    def say(self, lines: Lines, *said: str) -> None:
        async def saying() -> None:
            for line in said:
                lines(line)
            await asyncio.sleep(0.1)

        asyncio.run(saying())

    def asked(self, query: str, who: Resource | None = None, **given: Any) -> httpx.Response:
        tokens = self.account.twin.azure.tokens(self.account.twin)
        principal, client = (who["principalId"], who["clientId"]) if who else (PRINCIPAL, PRINCIPAL)
        token = given.pop("token", None) or tokens.access(principal, client, "https://api.loganalytics.io")
        path = given.pop("path", f"workspaces/{self.workspace['customerId']}/query")
        headers = {"authorization": f"Bearer {token}"}
        return httpx.post(f"{self.front}/_azure/loganalytics/v1/{path}", json={"query": query, **given}, headers=headers)

    def found(self, query: str) -> list[list[Any]]:
        answer = self.asked(query)
        assert answer.status_code == 200, answer.text
        [table] = answer.json()["tables"]
        rows: list[list[Any]] = table["rows"]
        return rows


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    account = Account(tmp_path, azure_planes({}))
    with served(account, tmp_path) as front:
        plane = LogAnalytics(account.twin)
        asyncio.run(plane.start())
        account.twin.azure.planes._made[PLACE] = plane
        yield Logs(account, front)
        asyncio.run(plane.close())


def test_lines_are_in_the_workspace_that_the_environments_setting_names(logs: Logs) -> None:
    container = logs.container(logs.environment)
    logs.say(container, "before there is a setting")
    logs.sends(logs.environment, SENT)
    logs.say(container, '{"event": "request"}', "  ", "plain")
    logs.say(logs.container(logs.environment, "pings", execution="pings-abc"), "of a job")
    assert logs.found(f"{CONSOLE} | project Log") == [['{"event": "request"}'], ["plain"], ["of a job"]]
    columns = "ContainerAppName, RevisionName, ContainerGroupName, ContainerName, EnvironmentName"
    [row] = logs.found(f'{CONSOLE} | where Log == "plain" | project {columns}')
    assert row == ["api", "api--1", "api--1-abc", "main", "env-azure-monitor"]
    assert logs.found(f'{CONSOLE} | where JobName == "pings" | project ExecutionName, ContainerAppName') == [["pings-abc", ""]]


@pytest.mark.parametrize(
    ("destination", "sent"),
    [
        (None, SENT),
        ("azure-monitor", [{"category": "ContainerAppConsoleLogs", "enabled": False}]),
        ("azure-monitor", [{"category": "ContainerAppSystemLogs", "enabled": True}]),
    ],
)
def test_lines_that_nothing_sends_are_nowhere(logs: Logs, destination: str | None, sent: list[dict[str, Any]]) -> None:
    environment = logs.environment if destination else logs.environment_of(destination)
    logs.sends(environment, sent)
    logs.say(logs.container(environment), "lost")
    assert logs.found(CONSOLE) == []


def test_who_asks_needs_a_token_for_the_service_and_the_right_to_look(logs: Logs) -> None:
    tokens = logs.account.twin.azure.tokens(logs.account.twin)
    elsewhere = tokens.access(PRINCIPAL, PRINCIPAL, "https://storage.azure.com")
    assert logs.asked(CONSOLE, token=elsewhere).status_code == 401
    who = identity(logs.account, "reader")
    refused = logs.asked(CONSOLE, who)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "InsufficientAccessError")
    logs.account.make(ROLE_ASSIGNMENT, "reads", assignment(who, "Log Analytics Reader", logs.workspace.id))
    assert logs.asked(CONSOLE, who).status_code == 200


def test_lines_of_a_resource_or_a_group_are_found_wherever_they_went(logs: Logs) -> None:
    logs.sends(logs.environment, SENT)
    for name in ("api", "api-2"):
        logs.say(logs.container(logs.environment, name), f"of {name}")
    group, who = GROUP_ID.removeprefix("/"), identity(logs.account, "reader")

    def found(below: str) -> list[str]:
        rows = logs.asked(f"{CONSOLE} | project Log", path=f"{below}/query").json()["tables"][0]["rows"]
        return [log for [log] in rows]

    assert found(group) == ["of api", "of api-2"]
    assert found(f"{group}/providers/Microsoft.App/containerApps/api") == ["of api"]
    assert found(f"{group}-other") == []
    assert logs.asked(CONSOLE, who, path=f"{group}/query").status_code == 403
    logs.account.make(ROLE_ASSIGNMENT, "reads", assignment(who, "Reader", GROUP_ID))
    assert logs.asked(CONSOLE, who, path=f"{group}/query").status_code == 200


def test_what_is_asked_wrongly_is_told_so(logs: Logs) -> None:
    assert logs.asked(CONSOLE, path="workspaces/nope/query").status_code == 404
    assert logs.asked(CONSOLE, path="apps/x/query").status_code == 404
    assert "timespan: say it in the query" in logs.asked(CONSOLE, timespan="PT1H").json()["error"]["message"]
    assert "there is ContainerAppConsoleLogs" in logs.asked("Nope").json()["error"]["message"]
