"""Every identity of the Google stacks, decided by the twin: each call of its code is allowed, whatever else there is to do is denied."""

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from docs.generate.options import judged
from pilotlight.planned import MOMENT, Planned, config_of, planned, ready_stacks
from pilotlight.twin.gcp import agents as google
from pilotlight.twin.gcp.iam import Iam
from pilotlight.twin.gcp.iam_roles import PREDEFINED
from pilotlight.twin.world import Resource, World
from tests.planned.gcp import called
from tests.planned.gcp.conftest import ACCOUNT, RUN
from tests.planned.gcp.identities import (
    ACCOUNTS,
    BELOW,
    CODE,
    EVENTARC_AGENT,
    LIST,
    METHODS,
    NUMBER,
    PASSED_OVER,
    PROJECT,
    PUBSUB_AGENT,
    REGION,
    SPARE,
    STORAGE_AGENT,
    Call,
    Names,
    agents,
    calls,
)

BUCKET, JOB, TRIGGER = "gcp:storage/bucket:Bucket", "gcp:cloudscheduler/job:Job", "gcp:eventarc/trigger:Trigger"
TOPIC, SUBSCRIPTION = "gcp:pubsub/topic:Topic", "gcp:pubsub/subscription:Subscription"
VARIANTS = [(stack, words) for stack in ready_stacks() if stack.startswith("gcp-") for words in judged(stack)]
# Beside what roles here permit: what nobody may do.
NEVER = {
    "storage.buckets.setIamPolicy",
    "storage.buckets.delete",
    "run.services.setIamPolicy",
    "run.services.delete",
    "run.services.create",
}
NEVER |= {"pubsub.topics.setIamPolicy", "pubsub.topics.delete", "iam.serviceAccounts.setIamPolicy", "iam.serviceAccountKeys.create"}
NEVER |= {"resourcemanager.projects.setIamPolicy", "datastore.databases.delete", "cloudscheduler.jobs.update", "cloudscheduler.jobs.run"}
EVERY_PERMISSION = frozenset().union(*PREDEFINED.values()) | NEVER
OF_OBJECTS = {each for each in EVERY_PERMISSION if each.startswith(("storage.objects.", "storage.multipartUploads."))}
# Which permissions are asked about a resource: those of its own service.
SERVICES = {"services": "run", "topics": "pubsub", "subscriptions": "pubsub", "databases": "datastore"}
SERVICES |= {"serviceAccounts": "iam", "jobs": "cloudscheduler"}


class Deployed:
    """One plan in the twin, who there is in it, and what each of them calls."""

    def __init__(self, stack: str, words: str) -> None:
        self.name = f"{stack} {words}".strip()
        self.plan = planned(stack, judged(stack)[words])
        world = World(Path(":memory:"))
        for each in self.plan:
            # A plan's grants on one thing have one id.
            id_ = each.urn if "member" in each.inputs else str(each.outputs["id"])
            world.put(Resource(token=each.type, id=id_, urn=each.urn, inputs=each.inputs, outputs=each.outputs))
        world.put(Resource(token=google.AGENT, id=STORAGE_AGENT, urn="", outputs={"email": STORAGE_AGENT}))
        self.iam = Iam(world, now=datetime.fromisoformat(MOMENT).timestamp)
        self.names = self._names(f"pilotlight-{stack}")
        self.calls = self._calls(config_of(stack)["pilotlight:service"]["pattern"])

    def all(self, type_: str) -> list[Planned]:
        return [each for each in self.plan if each.type == type_]

    def roles(self, email: str) -> set[str]:
        return {each.inputs["role"] for each in self.plan if each.inputs.get("member") == f"serviceAccount:{email}"}

    def may(self, email: str, permission: str, resource: str) -> bool:
        return self.iam.allowed(email, permission, resource) is None

    def identity(self, email: str) -> str:
        """Its role's word, or an agent's address as it is."""
        return next((role_of(each) for each in self.all(ACCOUNT) if each.outputs["email"] == email), email)

    @functools.cached_property
    def resources(self) -> set[str]:
        """All that may be done something to: what is called, what else the plan has, and everybody's neighbours."""
        own = {call.resource for made in self.calls.values() for call in made}
        own |= {each.outputs["id"] for type_ in (RUN, TOPIC, SUBSCRIPTION, ACCOUNT, JOB) for each in self.all(type_)}
        own |= {f"projects/_/buckets/{each.outputs['name']}/objects/outside/x" for each in self.all(BUCKET)}
        return own | {other for resource in own for other in neighbours(resource)}

    def _names(self, prefix: str) -> Names:
        (endpoint,) = [each for each in self.all(ACCOUNT) if each.name.endswith("-endpoint-account")]
        (service,) = [each for each in self.all(RUN) if each.name.endswith("-endpoint-service")]
        return Names(
            prefix=prefix,
            endpoint=service.inputs["name"],
            buckets={each.name.split("-")[1]: each.outputs["name"] for each in self.all(BUCKET)},
            endpoint_account=endpoint.outputs["email"],
            jobs=tuple(each.outputs["name"] for each in self.all(JOB)),
        )

    def _calls(self, pattern: str) -> Mapping[str, list[Call]]:
        buckets, topics = self.names.buckets, {each.outputs["name"] for each in self.all(TOPIC)}
        told = {"pattern": pattern, "answers": "answers" in buckets, "queue": self.names.named("results") in topics}
        found = {each.outputs["email"]: calls(role_of(each), self.names, **told) for each in self.all(ACCOUNT)}
        moved = {
            short(each.outputs["name"], self.names): short(
                each.inputs["deadLetterPolicy"]["deadLetterTopic"].rpartition("/")[2], self.names
            )
            for each in self.all(SUBSCRIPTION)
            if "deadLetterPolicy" in each.inputs
        }
        pushes = {
            each.inputs["pushConfig"]["oidcToken"]["serviceAccountEmail"] for each in self.all(SUBSCRIPTION) if "pushConfig" in each.inputs
        }
        return {**found, **agents(self.names, moved, pushes, triggers=bool(self.all(TRIGGER)))}


def role_of(account: Planned) -> str:
    """The word of its role, without what tells stacks and leases apart."""
    return re.sub(r"(-[0-9a-f]{4})?-[0-9a-f]{10}$", "", account.inputs["accountId"])


def short(name: str, names: Names) -> str:
    return name.removeprefix(f"{names.prefix}-")


def neighbours(resource: str) -> Iterator[str]:
    """Resources of the same kind that are somebody else's: in another project or region, another stack's, one of a longer name."""
    yield from (
        resource.replace(f"projects/{PROJECT}", "projects/other-project"),
        resource.replace(REGION, "us-central1"),
        resource.replace("pilotlight-", "elsewhere-"),
        re.sub(r"(pilotlight-[a-z0-9-]+)", r"\1-2", resource),
    )


def asked_of(resource: str) -> list[str]:
    """The permissions that are asked about a resource: some about a bucket, others about the objects in it."""
    if "/objects/" in resource:
        return [each for each in OF_OBJECTS if each != LIST]
    if resource.startswith("projects/_/"):
        return [each for each in EVERY_PERMISSION if each.startswith("storage.") and (each not in OF_OBJECTS or each == LIST)]
    collection = resource.split("/")[-2]
    # What holds for the project holds for whatever is in it.
    return [each for each in EVERY_PERMISSION if collection == "projects" or each.startswith(f"{SERVICES[collection]}.")]


@functools.cache
def deployed(stack: str, words: str) -> Deployed:
    return Deployed(stack, words)


def having(identity: str) -> list[tuple[Deployed, str, list[Call]]]:
    """The plans that have an identity, by its role's word or an agent's address, with its address in each and its calls."""
    plans = [deployed(*variant) for variant in VARIANTS]
    return [(plan, who, made) for plan in plans for who, made in plan.calls.items() if identity == plan.identity(who)]


IDENTITIES = (*ACCOUNTS, PUBSUB_AGENT, STORAGE_AGENT, EVENTARC_AGENT)


def test_every_identity_of_every_plan_has_its_tests() -> None:
    """One without a table is a KeyError of `calls`."""
    plans = [deployed(*variant) for variant in VARIANTS]
    assert {plan.identity(who) for plan in plans for who in plan.calls} == set(IDENTITIES)


@pytest.mark.parametrize("identity", IDENTITIES)
def test_every_call_is_allowed(identity: str) -> None:
    for plan, who, made in having(identity):
        assert made
        assert [call for call in made if not plan.may(who, call.permission, call.resource)] == [], plan.name


@pytest.mark.parametrize("identity", IDENTITIES)
def test_whatever_no_call_needs_is_denied(identity: str) -> None:
    """On each resource of the stack, and on everybody's neighbours."""
    for plan, who, made in having(identity):
        roles = plan.roles(who)
        granted = [
            (permission, resource)
            for resource in plan.resources
            for permission in asked_of(resource)
            if not needed(made, roles, permission, resource) and plan.may(who, permission, resource)
        ]
        assert granted == [], plan.name


def needed(made: list[Call], roles: set[str], permission: str, resource: str) -> bool:
    """Whether a call needs it there, or a role that a call needs brings it along there."""
    touched = [call for call in made if call.covers(resource)]
    return any(call.permission == permission for call in touched) or (bool(touched) and spare(roles, permission))


def spare(roles: set[str], permission: str) -> bool:
    return any(fnmatchcase(permission, pattern) for role in roles for pattern in SPARE.get(role, ()))


def test_every_excuse_is_for_something_that_a_role_brings_along() -> None:
    for role, excuses in SPARE.items():
        for pattern in excuses:
            assert any(fnmatchcase(permission, pattern) for permission in PREDEFINED[role]), (role, pattern)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "+".join(filter(None, variant)))
def test_nobody_else_may_do_anything(variant: tuple[str, str]) -> None:
    """A caller without identity, an account of another stack, Google's agents that the stack grants nothing."""
    plan = deployed(*variant)
    strangers = ("", "elsewhere@my-project.iam.gserviceaccount.com", f"service-{NUMBER}@gcp-sa-cloudscheduler.iam.gserviceaccount.com")
    for resource in plan.resources:
        assert [who for who in strangers for permission in asked_of(resource) if plan.may(who, permission, resource)] == []


# The tables and the code


def table(account: str) -> dict[str, set[str]]:
    """The calls of an account that may do the most: permissions by the place of its code that needs them. What lies below several calls,
    and is one's own in some of them alone, names no place."""
    buckets = dict.fromkeys(("answers", "models", "objects", "results"), "b")
    names = Names(prefix="p", endpoint="p", buckets=buckets, endpoint_account="e", jobs=("j",))
    found: dict[str, set[str]] = {}
    for call in calls(account, names, pattern="api" if account == "api" else "events", answers=True, queue=True):
        if ".py: " in call.by:
            found.setdefault(call.by, set()).add(call.permission)
    return found


@pytest.mark.parametrize("account", CODE)
def test_the_code_of_an_identity_calls_what_its_table_says(account: str) -> None:
    """A call without a row fails, and so does a row without a call, one at another place, and one of code that it does not import."""
    sites, passed = called.sites_from(CODE[account]), PASSED_OVER.get(account, {})
    assert set(passed) <= set(sites)
    made = {site: permissions(methods) for site, methods in sites.items() if site not in BELOW and site not in passed}
    assert made == table(account)


def permissions(methods: frozenset[str]) -> set[str]:
    return {permission for method in methods for permission in METHODS.get(method, (f"METHODS has no {method}",))}


def test_no_handler_calls_what_stands_in_no_table() -> None:
    sites = {site: methods for path in called.sources() for site, methods in called.sites(path).items()}
    assert sites.keys() == BELOW | {by for account in CODE for by in table(account)}
    assert {method for site, methods in sites.items() if site not in BELOW for method in methods} == set(METHODS)


def test_nothing_reaches_a_service_past_what_is_looked_for() -> None:
    """A file with another library, or another file with one of these, has to be looked at: its calls may be of a form that `called.py`
    does not know."""
    own = "handlers/functions/gcp/"
    firestore = {f"{own}{name}.py": {"google.cloud"} for name in ("answers", "attempts", "firestore", "idempotency", "results")}
    ways = {
        **firestore,
        f"{own}topics.py": {"google.cloud"},
        "handlers/functions/connections.py": {"http.client"},
        # Its errors, and those that servers listen on.
        "handlers/functions/http_endpoint.py": {"socket"},
        "handlers/server/http_server.py": {"socket"},
        "handlers/web/listening.py": {"socket"},
        "handlers/web/running.py": {"socket"},
    }
    assert {str(path.relative_to(called.ROOT)): found for path in called.sources() if (found := called.ways_out(path))} == ways
    assert [call for path in called.sources() for call in called.hasty(path)] == []
