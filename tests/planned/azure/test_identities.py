"""Every identity of the Azure stacks, decided by the twin: each call of its code is allowed, whatever else there is to do is denied."""

import functools
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate.options import judged
from pilotlight.planned import Planned, ready_stacks
from pilotlight.twin.azure import cosmos_rights
from pilotlight.twin.azure.iam import Iam, covers
from pilotlight.twin.azure.roles import BUILT_IN, guid_of
from pilotlight.twin.world import Resource, World
from tests.planned.azure import called
from tests.planned.azure.conftest import (
    ACCOUNT,
    APP,
    ASSIGNMENT,
    CONTAINER,
    COSMOS,
    IDENTITY,
    INSIGHTS,
    JOB,
    QUEUE,
    REGISTRY,
    TABLE,
    plan_of,
)
from tests.planned.azure.identities import (
    BELOW,
    CODE,
    HOLD,
    IDENTITIES,
    METHODS,
    PASSED_OVER,
    PULL,
    PUT,
    SPARE,
    TAKE,
    Call,
    Places,
    calls,
)

VARIANTS = [(stack, words) for stack in ready_stacks() if stack.startswith("azure-") for words in judged(stack)]
# Beside what roles permit by name: what nobody may do, and what only wide roles do.
NEVER = {
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Storage/storageAccounts/listKeys/action",
    "Microsoft.Storage/storageAccounts/write",
    "Microsoft.ContainerRegistry/registries/write",
    "Microsoft.App/containerApps/write",
    "Microsoft.App/containerApps/delete",
    "Microsoft.ApiManagement/service/subscriptions/listSecrets/action",
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    "Microsoft.OperationalInsights/workspaces/query/read",
    "Microsoft.Resources/subscriptions/resourceGroups/delete",
    "Microsoft.Authorization/roleDefinitions/write",
    "Microsoft.Consumption/budgets/read",
    "Microsoft.Consumption/budgets/write",
}
Action = tuple[str, bool]


def every_action() -> list[Action]:
    """Each action that a built-in role names, with whether it is of data; patterns are none."""
    permissions = [one for role in BUILT_IN.values() for one in role.permissions]
    control = {action for one in permissions for action in one.actions} | NEVER
    data = {action for one in permissions for action in one.data_actions}
    data |= cosmos_rights.ACTIONS
    return sorted((action, of_data) for actions, of_data in ((control, False), (data, True)) for action in actions if "*" not in action)


class Deployed:
    """One plan in the twin, who there is in it, and what each of them calls."""

    def __init__(self, stack: str, words: str) -> None:
        self.name, self._prefix = f"{stack} {words}".strip(), f"pilotlight-{stack}-"
        self._plan = plan_of(judged(stack)[words], stack)
        world = World(Path(":memory:"))
        for each in self._plan.resources:
            if each.type.startswith("azure-native:"):
                id_ = str(each.outputs["id"])
                world.put(Resource(token=each.type, id=id_, urn=each.urn, inputs=each.inputs, outputs={**each.outputs, "id": id_}))
        self._world, self._iam = world, Iam(world)
        self.principals = {self._role(each): str(each.outputs["principalId"]) for each in self._plan.all(IDENTITY)}
        self.calls = {role: calls(role, self._places()) for role in self.principals}

    def may(self, principal: str, action: Action, scope: str) -> bool:
        if action[0] not in cosmos_rights.ACTIONS:
            return self._iam.allowed(principal, action[0], scope, data=action[1]) is None
        # By roles of the account's own, in which Azure's count for nothing.
        there = next((one for one in self._world.find(COSMOS) if covers(one.id, scope)), None)
        table = "" if there is None else scope.removeprefix(there.id).removeprefix("/tables/")
        return there is not None and cosmos_rights.refusal(self._world, principal, there, table, [action[0]]) is None

    def roles(self, principal: str) -> set[str]:
        """The built-in ones."""
        made = [guid_of(each.inputs["roleDefinitionId"]) for each in self._plan.all(ASSIGNMENT) if each.inputs["principalId"] == principal]
        return {BUILT_IN[each].name for each in made if each in BUILT_IN}

    @functools.cached_property
    def scopes(self) -> set[str]:
        """All that may be done something to: what there is, the blobs in it, what holds it, and everybody's neighbours."""
        own = {str(each.outputs["id"]) for each in self._plan.resources if str(each.outputs.get("id")).startswith("/subscriptions/")}
        own |= {f"{each.outputs['id']}/blobs/abc/one" for each in self._plan.all(CONTAINER)}
        parts = [str(each.outputs["id"]) for type_ in (CONTAINER, QUEUE, TABLE) for each in self._plan.all(type_)]
        own |= {each.rpartition("/default/")[0] + "/default" for each in parts}
        own |= {"/" + "/".join(each.split("/")[1:3]) for each in parts}
        return own | {other for scope in own for other in neighbours(scope)}

    def _role(self, identity: Planned) -> str:
        return str(identity.inputs["resourceName"]).removeprefix(self._prefix)

    def _places(self) -> Places:
        accounts = {str(each.inputs["accountName"])[:-16]: str(each.outputs["id"]) for each in self._plan.all(ACCOUNT)}
        sends = any(each.inputs["queueName"] == "results" for each in self._plan.all(QUEUE))
        [endpoint] = [str(each.outputs["id"]) for each in self._plan.all(APP) if "-endpoint-app" in each.name]
        pings = [str(each.outputs["id"]) for each in self._plan.all(JOB) if "-warming-ping-" in each.name]
        return Places(
            cosmos=next((str(each.outputs["id"]) for each in self._plan.all(COSMOS)), ""),
            accounts=accounts,
            registries=self._registries(),
            sends=sends,
            group=endpoint.partition("/providers/")[0],
            endpoint=endpoint,
            pings=pings,
            insights=next((str(each.outputs["id"]) for each in self._plan.all(INSIGHTS)), ""),
        )

    def _registries(self) -> dict[str, str]:
        """The registry of each part whose image lies in the stack's own."""
        registry = self._plan.one(REGISTRY)
        by_id = {str(each.outputs["id"]): self._role(each) for each in self._plan.all(IDENTITY)}
        return {
            by_id[each.inputs["identity"]["userAssignedIdentities"][0]]: str(registry.outputs["id"])
            for type_ in (APP, JOB)
            for each in self._plan.all(type_)
            if each.inputs["template"]["containers"][0]["image"].startswith(registry.outputs["loginServer"])
        }


def neighbours(scope: str) -> Iterator[str]:
    """Resources of the same kind that are somebody else's: in another subscription or group, one of a longer name."""
    yield scope.replace("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002")
    yield scope.replace("/resourceGroups/pilotlight-", "/resourceGroups/elsewhere-")
    yield f"{scope}2"


@functools.cache
def deployed(stack: str, words: str) -> Deployed:
    return Deployed(stack, words)


def having(role: str) -> list[tuple[Deployed, str, list[Call]]]:
    """The plans that have an identity, with its principal in each and its calls."""
    plans = [deployed(*variant) for variant in VARIANTS]
    return [(plan, plan.principals[role], plan.calls[role]) for plan in plans if role in plan.principals]


def test_every_identity_of_every_plan_has_its_tests() -> None:
    """One without a table is a KeyError of `calls`."""
    assert {role for variant in VARIANTS for role in deployed(*variant).principals} == set(IDENTITIES)
    assert all(len({*plan.principals.values()}) == len(plan.principals) for plan in (deployed(*variant) for variant in VARIANTS))


@pytest.mark.parametrize("role", IDENTITIES)
def test_every_call_is_allowed(role: str) -> None:
    for plan, who, made in having(role):
        assert [call for call in made if not plan.may(who, (call.action, call.data), call.scope)] == [], plan.name


@pytest.mark.parametrize("role", IDENTITIES)
def test_whatever_no_call_needs_is_denied(role: str) -> None:
    """On each resource of the stack, on what holds it, and on everybody's neighbours."""
    for plan, who, made in having(role):
        roles = plan.roles(who)
        granted = [
            (action, scope)
            for scope in plan.scopes
            for action in every_action()
            if not needed(made, roles, action, scope) and plan.may(who, action, scope)
        ]
        assert granted == [], plan.name


def needed(made: list[Call], roles: set[str], action: Action, scope: str) -> bool:
    """Whether a call needs it there, or a role that a call needs brings it along there."""
    touched = [call for call in made if call.covers(scope)]
    spare = any(action[0] in SPARE.get(role, ()) for role in roles)
    return any((call.action, call.data) == action for call in touched) or (bool(touched) and spare)


def test_events_are_put_into_their_queue_by_event_grid_and_taken_by_the_function() -> None:
    """The service takes the right to write for that to put in as well ("Put Message"): no third one has either."""
    plan = deployed("azure-container-apps-events", "")
    events = next(call.scope for call in plan.calls["delivery"] if call.action == PUT)
    assert {role for role, who in plan.principals.items() if plan.may(who, (PUT, True), events)} == {"delivery"}
    for action in (TAKE, HOLD):
        assert {role for role, who in plan.principals.items() if plan.may(who, (action, True), events)} == {"events"}


def test_an_image_of_others_is_not_pulled_from_the_stacks_registry() -> None:
    """The endpoint then has no role there; whoever made the other registry gives it one."""
    plan = deployed("azure-container-apps-api", "extras")
    assert PULL not in [call.action for call in plan.calls["endpoint"]]
    assert plan.roles(plan.principals["endpoint"]) == {"Storage Blob Data Reader", "Monitoring Metrics Publisher"}


def test_every_excuse_is_for_something_that_a_role_brings_along() -> None:
    """And that somebody has for something else."""
    by_name = {role.name: role for role in BUILT_IN.values()}
    plans = [deployed(*variant) for variant in VARIANTS]
    for role, excuses in SPARE.items():
        assert [action for action in excuses if not any(by_name[role].permits(action, data=data) for data in (False, True))] == []
        having_it = [made for plan in plans for word, made in plan.calls.items() if role in plan.roles(plan.principals[word])]
        assert [action for action in excuses if all(any(call.action == action for call in made) for made in having_it)] == []


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "+".join(filter(None, variant)))
def test_nobody_else_may_do_anything(variant: tuple[str, str]) -> None:
    """A caller without identity, and one of another stack."""
    plan = deployed(*variant)
    strangers = ("", str(uuid.uuid5(uuid.NAMESPACE_URL, "elsewhere/principal")))
    assert [scope for scope in plan.scopes for who in strangers for action in every_action() if plan.may(who, action, scope)] == []


# The tables and the code

# A plan with all that there may be.
EVERYWHERE = Places(
    accounts={each: each for each in ("answers", "letters", "models", "results", "work")},
    registries={},
    sends=True,
    group="group",
    endpoint="endpoint",
    pings=["ping"],
    insights="insights",
)


@pytest.mark.parametrize("role", CODE)
def test_the_code_of_an_identity_calls_what_its_table_says(role: str) -> None:
    """A call without a row fails, and so does a row without a call, one at another place, and one of code that it does not import."""
    sites, passed = called.sites_from(CODE[role]), PASSED_OVER.get(role, {})
    assert set(passed) <= set(sites)
    made = {
        site: {one for method in methods for one in METHODS[method]} for site, methods in sites.items() if site not in {*BELOW, *passed}
    }
    table: dict[str, set[str]] = {}
    for call in calls(role, EVERYWHERE):
        if call.by.startswith("handlers/"):
            table.setdefault(call.by, set()).add(call.action)
    assert {site: actions for site, actions in made.items() if actions} == table


def test_no_handler_calls_what_stands_in_no_table() -> None:
    sites = {site: methods for path in called.sources() for site, methods in called.sites(path).items()}
    asked = {"handlers/functions/http_endpoint.py: _asked"}
    table = {call.by for role in CODE for call in calls(role, EVERYWHERE) if call.by.startswith("handlers/")}
    assert sites.keys() == {*BELOW, *asked, *table}
    assert {method for site, methods in sites.items() if site not in BELOW for method in methods} == set(METHODS)


def test_no_call_is_of_a_form_that_is_not_looked_for() -> None:
    """Methods of those names on anything else are somebody's whose own calls are counted, or of no service."""
    others = {"answer", "answer.headers", "archive", "held", "logs", "self._results.settled([version])", "Storage()", "tarfile"}
    found = {each for path in called.sources() for each in called.hidden(path) if each.rpartition(": ")[2].rpartition(".")[0] not in others}
    assert found == {"handlers/engines/fetching.py: _extract: (folder / name).open"}


def test_nothing_reaches_a_service_past_what_is_looked_for() -> None:
    """A file with another library, or another file with one of these, has to be looked at: its calls may be of a form that `called.py`
    does not know."""
    ways = {
        "handlers/functions/connections.py": {"http.client"},
        # Its errors, and those that servers listen on.
        "handlers/functions/http_endpoint.py": {"socket"},
        "handlers/server/http_server.py": {"socket"},
        "handlers/web/listening.py": {"socket"},
        "handlers/web/running.py": {"socket"},
    }
    assert {str(path.relative_to(called.ROOT)): found for path in called.sources() if (found := called.ways_out(path))} == ways
