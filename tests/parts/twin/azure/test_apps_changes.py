"""Apps and jobs changed through Resource Manager, as what drops a floor does: a merge patch, under the rights of who asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.twin.azure.apps_changes import merged
from pilotlight.twin.azure.types import APP, JOB, ROLE_DEFINITION
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, IN_GROUP, Account
from tests.parts.twin.azure.apps import CONTAINER, Place
from tests.parts.twin.azure.people import assign, identity
from tests.parts.twin.azure.test_resource_manager import ask

HTTP = {"name": "http-0", "http": {"metadata": {"concurrentRequests": "2"}}}
WINDOW = {
    "name": "cron-1",
    "custom": {
        "type": "cron",
        "metadata": {"timezone": "UTC", "start": "0 8 * * 1", "end": "0 18 * * 1", "desiredReplicas": "2"},
    },
}
SCALE = {"minReplicas": 1, "maxReplicas": 5, "rules": [HTTP, WINDOW]}
COLD = {"minReplicas": 0, "maxReplicas": 5, "rules": [HTTP]}
DUE = {"cronExpression": "*/5 * * * *", "parallelism": 1, "replicaCompletionCount": 1}


@pytest.fixture
def place(account: Account) -> Place:
    made = Place(account)
    made.allow()
    return made


def app(place: Place) -> Resource:
    return place.account.make(APP, "server", {**place.inputs(scale=SCALE), "tags": {"stack": "mine"}})


def job(place: Place) -> Resource:
    configuration = {
        "triggerType": "Schedule",
        "replicaTimeout": 60,
        "scheduleTriggerConfig": DUE,
        "registries": [{"server": place.registry["loginServer"], "identity": place.who.id}],
    }
    container = {name: value for name, value in CONTAINER.items() if name != "probes"}
    return place.account.make(
        JOB,
        "pings",
        {
            **IN_GROUP,
            "jobName": "pings",
            "environmentId": place.environment.id,
            "workloadProfileName": "Consumption",
            "identity": {"type": "UserAssigned", "userAssignedIdentities": [place.who.id]},
            "configuration": configuration,
            "template": {"containers": [{**container, "image": place.image}]},
        },
    )


def change(account: Account, resource: Resource, body: Any, **how: Any) -> tuple[int, Any]:
    return ask(account, resource.id, method="PATCH", body=json.dumps(body).encode(), **how)


def test_a_floor_that_is_dropped_makes_a_revision_and_is_drift(account: Account, place: Place) -> None:
    made = app(place)
    told = ask(account, made.id)[1]
    assert (told["tags"], told["properties"]["template"]["scale"]) == ({"stack": "mine"}, SCALE)
    status, told = change(account, made, {"tags": {"floor-dropped": "x"}, "properties": {"template": {"scale": COLD}}})
    assert (status, told["properties"]["template"]["scale"], told["tags"]) == (200, COLD, {"stack": "mine", "floor-dropped": "x"})
    assert told["properties"]["latestRevisionName"] != made["latestRevisionName"]
    found = account.life.read(made.token, made.id, made.urn, dict(made.inputs))
    assert found is not None
    assert (found[1]["template"]["scale"], found[1]["tags"]) == (COLD, {"stack": "mine", "floor-dropped": "x"}), "what a refresh sees"
    assert found[1]["template"]["containers"] == made.inputs["template"]["containers"]
    restored = account.change(made, {"template": made.inputs["template"], "tags": {"stack": "mine"}})
    assert (restored["template"]["scale"], restored["tags"]) == (SCALE, {"stack": "mine"})
    assert restored["latestRevisionName"] != told["properties"]["latestRevisionName"]


def test_tags_alone_make_no_revision(account: Account, place: Place) -> None:
    made = app(place)
    assert change(account, made, {"tags": {"a": "b"}})[1]["properties"]["latestRevisionName"] == made["latestRevisionName"]


def test_a_job_starts_by_another_schedule(account: Account, place: Place) -> None:
    made = job(place)
    never = {"triggerType": "Schedule", "replicaTimeout": 60, "scheduleTriggerConfig": {**DUE, "cronExpression": "0 0 29 2 *"}}
    told = change(account, made, {"properties": {"configuration": never}})[1]["properties"]["configuration"]
    assert told["scheduleTriggerConfig"]["cronExpression"] == "0 0 29 2 *"
    assert [one["identity"] for one in told["registries"]] == [place.who.id], "it stays"


def test_who_asks_needs_the_right_on_that_one_resource(account: Account, place: Place) -> None:
    made, pings = app(place), job(place)
    dropper = identity(account, "floor")
    guid = "11111111-2222-3333-4444-555555555555"
    actions = [{"actions": ["Microsoft.App/containerApps/read", "Microsoft.App/containerApps/write"]}]
    role = account.make(
        ROLE_DEFINITION,
        "changes",
        {"scope": GROUP_ID, "roleDefinitionId": guid, "roleName": "changes", "permissions": actions, "assignableScopes": [GROUP_ID]},
    )
    who = (dropper["principalId"], dropper["clientId"])
    assert (ask(account, made.id, who=who)[0], change(account, made, {"tags": {}}, who=who)[0]) == (403, 403)
    assign(account, dropper, str(role.id), made.id)
    assert (ask(account, made.id, who=who)[0], change(account, made, {"tags": {}}, who=who)[0]) == (200, 200)
    assert change(account, pings, {"tags": {}}, who=who)[0] == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "InvalidRequestContent"),
        ({"properties": []}, "InvalidRequestContent"),
        ({"properties": {"environmentId": "e"}}, "NotImplemented"),
        ({"identity": {}}, "NotImplemented"),
        ({"properties": {"template": {"scale": {"maxReplicas": 5000}}}}, "InvalidRequestContent"),
        ({"properties": {"template": {"scale": {"rules": [{"name": "a"}]}}}}, "InvalidRequestContent"),
    ],
)
def test_what_is_refused(account: Account, place: Place, body: Any, code: str) -> None:
    made = app(place)
    assert change(account, made, body)[1]["error"]["code"] == code
    assert ask(account, made.id)[1]["properties"]["template"]["scale"] == SCALE


def test_what_is_not_there_is_not_found(account: Account, place: Place) -> None:
    made = app(place)
    assert ask(account, f"{made.id}2")[0] == 404
    assert ask(account, made.id.replace("Microsoft.App/containerApps", "microsoft.app/containerapps"))[0] == 200
    status, told = ask(account, made.id, method="PATCH", body=b"{")
    assert (status, told["error"]["code"]) == (400, "InvalidRequestContent")


def test_a_merge_patch_takes_out_what_is_null_and_replaces_lists() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}, "d": 3}, {"a": {"b": None, "c": [3]}, "e": {"f": None}}) == {
        "a": {"c": [3]},
        "d": 3,
        "e": {},
    }
