"""Workbooks: what Azure and the twin refuse of one, in the preview where it can be seen there, else at creation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.twin.azure import types
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account
from tests.parts.twin.azure.test_alerts import WATCHED, previewed

NAME = "0a1b2c3d-0000-4000-8000-000000000001"
SERVICES = "microsoft.apimanagement/service"
WORKSPACES = "microsoft.operationalinsights/workspaces"


def query(workspace: str, **more: Any) -> dict[str, Any]:
    return {
        "version": "KqlItem/1.0",
        "query": "ContainerAppConsoleLogs | summarize n = count() by bin(TimeGenerated, 5m)",
        "queryType": 0,
        "resourceType": WORKSPACES,
        "crossComponentResources": [workspace],
        "visualization": "timechart",
        **more,
    }


def chart(scope: str, **more: Any) -> dict[str, Any]:
    metric = {"namespace": SERVICES, "metric": f"{SERVICES}--Requests", "aggregation": 1, **more.pop("metric", {})}
    return {"version": "MetricsItem/2.0", "resourceType": SERVICES, "resourceIds": [scope], "metrics": [metric], **more}


def book(*items: tuple[int, dict[str, Any]], **more: Any) -> dict[str, Any]:
    listed = [{"type": type_, "content": content, "name": f"item-{place}"} for place, (type_, content) in enumerate(items)]
    content = {"version": "Notebook/1.0", "items": listed}
    given = {"resourceName": NAME, "displayName": "Tried", "category": "workbook", "kind": "shared"}
    return {**IN_GROUP, **given, "serializedData": json.dumps(content), **more}


@pytest.fixture
def workspace(account: Account) -> str:
    account.group()
    return account.make(types.WORKSPACE, "logs", {**IN_GROUP, "workspaceName": "logs"}).id


@pytest.fixture
def service(account: Account, workspace: str) -> str:
    return account.make(types.API_MANAGEMENT, "tried", WATCHED).id


def test_a_workbook_of_what_is_there(account: Account, workspace: str, service: str) -> None:
    given = book((1, {"json": "# Tried"}), (3, query(workspace)), (10, chart(service)), sourceId=workspace.lower())
    made = account.make(types.WORKBOOK, "board", given)
    assert made.id == f"{GROUP_ID}/providers/Microsoft.Insights/workbooks/{NAME}"
    assert (made["name"], made["kind"], made["serializedData"]) == (NAME, "shared", given["serializedData"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resourceName": "board"}, "resourceName: 'board' is not allowed: use 36 to 36 characters of a GUID."),
        ({"resourceName": None}, "resourceName: the generated name 'refused83c874d3' does not match"),
        ({"kind": "user"}, "kind: 'user' is not allowed: use 'shared'."),
        ({"version": "Notebook/2.0"}, "version: 'Notebook/2.0' is not that of the content"),
        ({"sourceId": f"{GROUP_ID}/x"}, "has capital letters"),
        ({"storageUri": "/x"}, "storageUri: is not served by the local twin"),
        ({"serializedData": "{"}, "serializedData: is no JSON"),
        ({"serializedData": "{}"}, "use an object with version 'Notebook/1.0' and a list of items"),
    ],
)
def test_what_is_refused_of_a_workbook(account: Account, workspace: str, change: dict[str, Any], said: str) -> None:
    given = {name: value for name, value in {**book((3, query(workspace))), **change}.items() if value is not None}
    assert said in previewed(account, types.WORKBOOK, given)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ((11, {}), "items[0].type: 11 is not served by the local twin: use 1 (text), 3 (query), 9 (parameters), 10 (metrics)."),
        (("3", {}), "items[0].type: '3' is not served"),
        ((1, {}), "content.json: is missing"),
        ((3, query("w", version="KqlItem/2.0")), "content.version: 'KqlItem/2.0' is not allowed"),
        ((3, query("w", queryType=1)), "the local twin serves 0 (logs)"),
        ((3, query("w", visualization="graph")), "visualization: 'graph' is not known"),
        ((3, query("w", crossComponentResources=[])), "crossComponentResources: is missing"),
        ((3, query("w", query="ContainerAppSystemLogs")), "content.query: The request had some invalid properties"),
        ((3, query("w", timeContextFromParameter="span")), "'span' is no parameter of this workbook: it has none"),
        ((9, {"version": "KqlParameterItem/1.0", "parameters": [{"type": 5}]}), "parameters[0].type: 5 is not served"),
        ((10, chart("s", resourceIds=[])), "resourceIds: is missing"),
        ((10, chart("s", metrics=[])), "metrics: is missing"),
        ((10, chart("s", metric={"namespace": "microsoft.app/jobs"})), "is none that microsoft.apimanagement/service has metrics of"),
        ((10, chart("s", metric={"metric": f"{SERVICES}--Requested"})), f"has {SERVICES}--BackendDuration"),
        ((10, chart("s", metric={"metric": f"{SERVICES}--Duration"})), "aggregation: 1 of Duration: use 2 (Minimum), 3 (Maximum), 4"),
        ((10, chart("s", filters=[{"key": "statusCode"}])), "Requests has no dimension 'statusCode' to filter by"),
    ],
)
def test_what_is_refused_of_an_item(account: Account, workspace: str, item: tuple[Any, dict[str, Any]], said: str) -> None:
    assert said in previewed(account, types.WORKBOOK, book(item))


def test_items_have_names_of_their_own(account: Account, workspace: str) -> None:
    given = book((3, query(workspace)), (3, query(workspace)))
    same = given["serializedData"].replace("item-1", "item-0")
    assert "2 items have the name 'item-0'" in previewed(account, types.WORKBOOK, {**given, "serializedData": same})


def test_what_a_workbook_asks_and_draws_must_be_there(account: Account, workspace: str, service: str) -> None:
    assert "was not found" in account.refused(types.WORKBOOK, book((3, query(f"{workspace}-gone"))))
    assert "was not found" in account.refused(types.WORKBOOK, book((3, query(workspace)), sourceId=f"{workspace}-gone".lower()))
    said = account.refused(types.WORKBOOK, book((10, chart(workspace))))
    assert f"{workspace!r} is a Microsoft.OperationalInsights/workspaces, not a {SERVICES}" in said
