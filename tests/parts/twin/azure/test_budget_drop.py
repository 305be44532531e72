"""What drops the floor, the real function's role, at the twin's Resource Manager: with the roles of the components and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from components.azure.drop import ASKS, CHANGES, STOPS
from handlers.functions.azure.floor import NEVER, TAG, FloorRole
from handlers.functions.azure.manager import Manager
from handlers.functions.rest import Api, ApiError
from pilotlight.twin.azure import budgets
from pilotlight.twin.azure.types import BUDGET, ROLE_DEFINITION
from pilotlight.twin.clock import Clock
from pilotlight.twin.planes import Planes
from pilotlight.twin.world import Resource
from tests.parts.twin.azure.account import GROUP_ID, Account
from tests.parts.twin.azure.apps import Place
from tests.parts.twin.azure.people import assign, identity
from tests.parts.twin.azure.test_apps_changes import COLD, DUE, SCALE, app, job
from tests.parts.twin.azure.test_budgets import GIVEN, START, Mails, Timers, looks, plane
from tests.parts.twin.azure.test_resource_manager import ask


class Reached:
    """Instead of HTTP: the twin's Resource Manager, asked as one identity."""

    def __init__(self, account: Account, who: Resource) -> None:
        self._account, self._who = account, (str(who["principalId"]), str(who["clientId"]))

    @contextmanager
    def asked(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Iterator[io.BytesIO]:
        id_, _, query = path.partition("?")
        version = query.removeprefix("api-version=")
        status, told = ask(self._account, id_, who=self._who, version=version, method=method, body=body or b"")
        if status >= 300:
            raise ApiError(json.dumps(told), status)
        yield io.BytesIO(json.dumps(told).encode())


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path, Planes({BUDGET: budgets.PLACE}, "pilotlight.twin.azure"))
    made.twin.clock = Clock(START)
    made.twin.sns, made.twin.timers, made.twin.wait = Mails(), Timers(), asyncio.run
    yield made
    made.world.close()


def granted(account: Account, who: Resource, actions: tuple[str, ...], scope: str) -> None:
    guid = str(uuid.uuid5(uuid.NAMESPACE_OID, "".join(actions)))
    given = {"scope": GROUP_ID, "roleDefinitionId": guid, "roleName": guid, "assignableScopes": [GROUP_ID]}
    role = account.make(ROLE_DEFINITION, guid, {**given, "permissions": [{"actions": list(actions)}]})
    assign(account, who, str(role.id), scope)


@pytest.mark.parametrize("without", [None, *(ASKS, CHANGES, STOPS)])
def test_a_spent_budget_takes_what_keeps_the_endpoint_warm_until_a_refresh(account: Account, without: tuple[str, ...] | None) -> None:
    place = Place(account)
    place.allow()
    endpoint, pings, spend = app(place), job(place), account.make(BUDGET, "spend", GIVEN)
    who = identity(account, "floor")
    for actions, scope in ((ASKS, GROUP_ID), (CHANGES, endpoint.id), (STOPS, pings.id)):
        if actions != without:
            granted(account, who, actions, scope)
    role = FloorRole(budget=spend.id, endpoint=endpoint.id, jobs=(pings.id,), manager=Manager(cast(Api, Reached(account, who))))

    def live(resource: Resource) -> Any:
        """What a refresh sees."""
        found = account.life.read(resource.token, resource.id, resource.urn, dict(resource.inputs))
        assert found is not None
        return found[1]

    def schedule() -> Any:
        return live(pings)["configuration"]["scheduleTriggerConfig"]

    plane(account).spend(100)
    assert role.run() == (1 if without == ASKS else 0), "not looked at yet"
    assert (live(endpoint)["template"]["scale"], schedule()) == (SCALE, DUE)
    looks(account)
    assert role.run() == (0 if without is None else 1)
    assert live(endpoint)["template"]["scale"] == (SCALE if without in (ASKS, CHANGES) else COLD)
    assert (TAG in live(endpoint)["tags"]) is (without not in (ASKS, CHANGES))
    assert schedule() == (DUE if without in (ASKS, STOPS) else {**DUE, "cronExpression": NEVER})
    if without is None:
        # An `up` after a refresh writes what the program declares.
        account.change(endpoint, {"template": endpoint.inputs["template"], "tags": {"stack": "mine"}})
        account.change(pings, {"configuration": pings.inputs["configuration"]})
        account.change(spend, {"amount": 200})
        assert (live(endpoint)["template"]["scale"], schedule(), live(endpoint)["tags"]) == (SCALE, DUE, {"stack": "mine"})
        assert role.run() == 0
        assert live(endpoint)["template"]["scale"] == SCALE, "a larger budget is not spent"
