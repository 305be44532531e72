"""Every identity of the Google stacks, decided by the twin: each call is allowed, whatever else there is to do is denied."""

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
from tests.planned.gcp.conftest import ACCOUNT, RUN
from tests.planned.gcp.identities import LIST, NUMBER, PROJECT, REGION, SPARE, STORAGE_AGENT, Call, Names, agents, calls

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

    def resources(self) -> set[str]:
        """All that may be done something to: what is called, what else the plan has, and everybody's neighbours."""
        own = {call.resource for made in self.calls.values() for call in made}
        own |= {each.outputs["id"] for type_ in (RUN, TOPIC, SUBSCRIPTION, ACCOUNT, JOB) for each in self.all(type_)}
        own |= {f"projects/_/buckets/{each.outputs['name']}/objects/outside/x" for each in self.all(BUCKET)}
        return own | {other for resource in own for other in neighbours(resource)}

    def _names(self, prefix: str) -> Names:
        (endpoint,) = [each for each in self.all(ACCOUNT) if each.name.endswith("-endpoint-account")]
        return Names(
            prefix=prefix,
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


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: "+".join(filter(None, variant)))
def deployed(request: pytest.FixtureRequest) -> Deployed:
    return Deployed(*request.param)


def test_every_call_is_allowed(deployed: Deployed) -> None:
    assert all(deployed.calls.values())
    made = [(who, call) for who, of in deployed.calls.items() for call in of]
    assert [(who, call) for who, call in made if not deployed.may(who, call.permission, call.resource)] == []


def test_whatever_no_call_needs_is_denied(deployed: Deployed) -> None:
    """On each resource of the stack, and on everybody's neighbours."""
    resources = deployed.resources()
    granted = [
        (who, permission, resource)
        for who, made in deployed.calls.items()
        for resource in resources
        for permission in asked_of(resource)
        if not needed(made, deployed.roles(who), permission, resource) and deployed.may(who, permission, resource)
    ]
    assert granted == []


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


def test_nobody_else_may_do_anything(deployed: Deployed) -> None:
    """A caller without identity, an account of another stack, Google's agents that the stack grants nothing."""
    strangers = ("", "elsewhere@my-project.iam.gserviceaccount.com", f"service-{NUMBER}@gcp-sa-cloudscheduler.iam.gserviceaccount.com")
    for resource in deployed.resources():
        assert [who for who in strangers for permission in asked_of(resource) if deployed.may(who, permission, resource)] == []
