"""Who may do what: roles, what holds what, conditions, custom roles, agents, and a reason for every no."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.gcp import agents, iam
from pilotlight.twin.gcp.iam import ANONYMOUS
from pilotlight.twin.gcp.iam_conditions import Asked, ConditionError, read
from pilotlight.twin.gcp.iam_roles import AGENT_ROLES, PREDEFINED
from pilotlight.twin.gcp.types import (
    ACCOUNT,
    BUCKET,
    BUCKET_MEMBER,
    CUSTOM_ROLE,
    PROJECT_MEMBER,
    RUN_MEMBER,
    TOPIC,
    TOPIC_MEMBER,
)
from pilotlight.twin.world import Resource
from tests.parts.twin.gcp.account import PROJECT, REGION, Account
from tests.parts.twin.gcp.declared import Made

NAME = f"projects/{PROJECT}"


@pytest.fixture
def caller(account: Account) -> Resource:
    account.enable("iam", "cloudresourcemanager", "pubsub")
    return account.make(ACCOUNT, "caller", {"accountId": "the-caller"})


def reason(account: Account, caller: Resource, permission: str, resource: str) -> str | None:
    answer: str | None = account.twin.gcp.iam.allowed(caller["email"], permission, resource)
    return answer


def grant(account: Account, caller: Resource, role: str, condition: str | None = None) -> Resource:
    held = {"condition": {"title": "tried", "expression": condition}} if condition else {}
    return account.make(PROJECT_MEMBER, role, {"project": PROJECT, "role": role, "member": caller["member"], **held})


def test_the_developer_may_do_everything_and_an_account_nothing_at_first(account: Account, caller: Resource) -> None:
    assert account.twin.gcp.iam.allowed(None, "storage.objects.get", "projects/_/buckets/b/objects/o") is None
    said = reason(account, caller, "storage.objects.get", "projects/_/buckets/b/objects/o")
    assert said == (
        "Permission 'storage.objects.get' denied on resource 'projects/_/buckets/b/objects/o' (or it may not exist) for "
        f"{caller['email']}: no role on it permits that."
    )


def test_a_grant_on_a_bucket_is_for_its_objects_and_for_no_other_bucket(account: Account, caller: Resource) -> None:
    bucket = account.make(BUCKET, "bucket", {"location": REGION, "name": "one"})
    account.make(BUCKET, "other", {"location": REGION, "name": "one-more"})
    account.make(BUCKET_MEMBER, "reads", {"bucket": bucket["name"], "role": "roles/storage.objectViewer", "member": caller["member"]})
    assert reason(account, caller, "storage.objects.get", "projects/_/buckets/one/objects/a/b") is None
    assert reason(account, caller, "storage.objects.list", "projects/_/buckets/one") is None
    assert reason(account, caller, "storage.objects.create", "projects/_/buckets/one/objects/a") is not None
    assert reason(account, caller, "storage.objects.get", "projects/_/buckets/one-more/objects/a") is not None


def test_a_grant_on_a_project_is_for_everything_in_it(account: Account, caller: Resource) -> None:
    account.make(BUCKET, "bucket", {"location": REGION, "name": "one"})
    grant(account, caller, "roles/storage.objectViewer")
    grant(account, caller, "roles/pubsub.publisher")
    assert reason(account, caller, "storage.objects.get", "projects/_/buckets/one/objects/a") is None
    assert reason(account, caller, "storage.objects.get", "projects/_/buckets/unknown/objects/a") is not None
    assert reason(account, caller, "pubsub.topics.publish", f"{NAME}/topics/any") is None
    assert reason(account, caller, "pubsub.topics.publish", f"{NAME}-more/topics/any") is not None


@pytest.mark.parametrize(
    ("name", "permission", "right", "wrong"),
    [
        ("invoker", "run.routes.invoke", "service", f"{NAME}/locations/{REGION}/services/other"),
        ("topicMember", "pubsub.topics.publish", "topic", f"{NAME}/topics/other"),
        ("subscriptionMember", "pubsub.subscriptions.consume", "subscription", f"{NAME}/subscriptions/other"),
        ("repositoryMember", "artifactregistry.repositories.downloadArtifacts", "repository", f"{NAME}/locations/{REGION}/repositories/x"),
        ("accountMember", "iam.serviceAccounts.actAs", "account", f"{NAME}/serviceAccounts/x@y.z"),
    ],
)
def test_each_kind_of_grant_is_for_what_it_is_on(account: Account, made: Made, name: str, permission: str, right: str, wrong: str) -> None:
    email = made[name]["member"].removeprefix("serviceAccount:")
    iam = account.twin.gcp.iam
    assert iam.allowed(email, permission, made[right].id) is None
    assert iam.allowed(email, permission, wrong) is not None
    account.delete(made[name])
    assert iam.allowed(email, permission, made[right].id) is not None


def test_a_short_name_and_a_full_one_are_one_scope(account: Account, made: Made) -> None:
    full = {"topic": made["topic"].id, "role": "roles/pubsub.subscriber", "member": made["account"]["member"]}
    account.make(TOPIC_MEMBER, "full", full)
    assert account.twin.gcp.iam.allowed(made["account"]["email"], "pubsub.topics.attachSubscription", made["topic"].id) is None


def test_a_condition_is_asked_about_the_resource_itself(account: Account, caller: Resource) -> None:
    account.make(BUCKET, "bucket", {"location": REGION, "name": "one", "uniformBucketLevelAccess": True})
    grant(account, caller, "roles/storage.objectUser", 'resource.name.startsWith("projects/_/buckets/one/objects/answers/")')
    assert reason(account, caller, "storage.objects.create", "projects/_/buckets/one/objects/answers/a") is None
    assert reason(account, caller, "storage.objects.create", "projects/_/buckets/one/objects/models/a") is not None


def test_what_was_decided_is_remembered_until_the_world_changes(
    account: Account, caller: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iam, "_REMEMBERED", 3)
    decided = account.twin.gcp.iam._decide
    asked: list[str] = []

    def counted(email: str, permission: str, resource: str) -> tuple[str | None, bool]:
        asked.append(resource)
        found: tuple[str | None, bool] = decided(email, permission, resource)
        return found

    monkeypatch.setattr(account.twin.gcp.iam, "_decide", counted)
    topics = [f"{NAME}/topics/{number}" for number in range(5)]
    for name in (topics[0], topics[0]):
        assert reason(account, caller, "pubsub.topics.publish", name) is not None
    assert asked == topics[:1]
    grant(account, caller, "roles/pubsub.publisher")
    assert [reason(account, caller, "pubsub.topics.publish", name) for name in topics] == [None] * 5
    assert len(account.twin.gcp.iam._decided[1]) <= 3


def test_a_condition_on_time_ends_by_the_twins_clock(account: Account, caller: Resource) -> None:
    account.make(TOPIC, "topic", {"name": "topic"})
    grant(account, caller, "roles/pubsub.publisher", 'request.time < timestamp("2100-01-01T00:00:00Z")')
    assert reason(account, caller, "pubsub.topics.publish", f"{NAME}/topics/topic") is None
    account.twin.clock.advance(80 * 366 * 24 * 3600)
    assert reason(account, caller, "pubsub.topics.publish", f"{NAME}/topics/topic") is not None


def test_a_custom_role_permits_what_it_lists_and_nothing_when_it_is_disabled(account: Account, caller: Resource) -> None:
    service = f"{NAME}/locations/{REGION}/services/one"
    role = account.make(CUSTOM_ROLE, "role", {"roleId": "floor", "title": "t", "permissions": ["run.services.update"]})
    grant(account, caller, role["name"])
    assert reason(account, caller, "run.services.update", service) is None
    assert reason(account, caller, "run.services.delete", service) is not None
    account.change(role, {"stage": "DISABLED"})
    assert reason(account, caller, "run.services.update", service) is not None


def test_a_disabled_account_and_one_that_is_gone_may_do_nothing(account: Account, caller: Resource) -> None:
    grant(account, caller, "roles/pubsub.publisher")
    topic = f"{NAME}/topics/topic"
    assert reason(account, caller, "pubsub.topics.publish", topic) is None
    account.change(caller, {"disabled": True})
    assert reason(account, caller, "pubsub.topics.publish", topic) == f"The service account {caller['email']} is disabled."
    account.delete(caller)
    assert reason(account, caller, "pubsub.topics.publish", topic) == f"There is no service account {caller['email']}."


def test_anybody_and_anybody_known(account: Account, made: Made) -> None:
    iam, service = account.twin.gcp.iam, made["service"].id
    assert "an anonymous caller" in str(iam.allowed(ANONYMOUS, "run.routes.invoke", service))
    known = {"name": made["service"]["name"], "role": "roles/run.invoker", "member": "allAuthenticatedUsers"}
    account.make(RUN_MEMBER, "known", known)
    agent = agents.agent(PROJECT, agents.EVENTARC)
    assert iam.allowed(agent, "run.routes.invoke", service) is None
    assert iam.allowed(ANONYMOUS, "run.routes.invoke", service) is not None
    account.make(RUN_MEMBER, "public", {**known, "member": "allUsers"})
    assert iam.allowed(ANONYMOUS, "run.routes.invoke", service) is None


def test_agents_have_the_roles_that_google_gives_them_or_a_program_does(account: Account, made: Made) -> None:
    def may(service: str, permission: str = "iam.serviceAccounts.getOpenIdToken") -> bool:
        return account.twin.gcp.iam.allowed(agents.agent(PROJECT, service), permission, made["account"].id) is None

    assert [may(f"{name}.googleapis.com") for name in ("run", "cloudscheduler", "pubsub", "storage")] == [True, True, False, False]
    grant = {"project": PROJECT, "role": "roles/pubsub.serviceAgent", "member": f"serviceAccount:{agents.agent(PROJECT, agents.PUBSUB)}"}
    account.make(PROJECT_MEMBER, "pubsub-agent", grant)
    assert may(agents.PUBSUB)
    assert not may(agents.PUBSUB, "pubsub.topics.publish")
    assert set(AGENT_ROLES.values()) <= set(PREDEFINED)


def test_an_agent_has_its_role_where_the_api_is_on(account: Account) -> None:
    asked = (agents.agent(PROJECT, "run.googleapis.com"), "run.routes.invoke", f"{NAME}/locations/{REGION}/services/one")
    account.enable("cloudscheduler")
    assert account.twin.gcp.iam.allowed(*asked) is not None
    account.enable("run")
    assert account.twin.gcp.iam.allowed(*asked) is None


def test_no_role_holds_a_pattern() -> None:
    for role, permissions in PREDEFINED.items():
        assert permissions, role
        assert not any("*" in one or one.count(".") != 2 for one in permissions), role


OBJECT = Asked(name="projects/_/buckets/b/objects/a/b", time=0)
SERVICE = Asked(name=f"{NAME}/locations/{REGION}/services/s", time=4102444800)


@pytest.mark.parametrize(
    ("expression", "asked", "expected"),
    [
        ("resource.name == 'projects/_/buckets/b/objects/a/b'", OBJECT, True),
        ('resource.name != "projects/_/buckets/b/objects/a/b"', OBJECT, False),
        ("resource.name.endsWith('/b')", OBJECT, True),
        ('resource.type == "storage.googleapis.com/Object"', OBJECT, True),
        ('resource.type == "storage.googleapis.com/Bucket"', Asked(name="projects/_/buckets/b", time=0), True),
        ('resource.service == "run.googleapis.com"', SERVICE, True),
        ('resource.type == "cloudresourcemanager.googleapis.com/Project"', Asked(name=NAME, time=0), True),
        ('!resource.name.startsWith("x") && resource.service == "storage.googleapis.com"', OBJECT, True),
        ('resource.name.startsWith("x") || resource.service == "storage.googleapis.com"', OBJECT, True),
        ('!(resource.name.startsWith("x") || resource.service == "storage.googleapis.com")', OBJECT, False),
        ('resource.name.startsWith("x") && resource.name.startsWith("y") || true_', OBJECT, None),
        ("request.time >= timestamp('2100-01-01T00:00:00Z')", SERVICE, True),
        ("request.time > timestamp('2100-01-01T00:00:00Z')", SERVICE, False),
    ],
)
def test_an_expression_is_true_or_false(expression: str, asked: Asked, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(ConditionError):
            read(expression)
    else:
        assert read(expression)(asked) is expected


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("", "it ends too early"),
        ("resource.name", "it ends too early"),
        ("resource.name == x", "'x' is no text in quotes"),
        ("resource.name < 'x'", "'<' does not compare texts"),
        ("resource.name.matches('x')", r"matches\(\) is not known"),
        ("resource.matchTag('a/b', 'c')", r"resource.matchTag is not known"),
        ("request.time < 'x'", "request.time is compared with timestamp"),
        ("request.time < timestamp('soon')", "'soon' is no time"),
        ("resource.name == 'x' resource", "'resource' is not expected here"),
        ("resource.name ~ 'x'", "is not known to the local twin"),
    ],
)
def test_what_cannot_be_read_is_refused(expression: str, text: str) -> None:
    with pytest.raises(ConditionError, match=text):
        read(expression)


@given(st.text(alphabet="abresourc.name ()&|!='\"<>timestamp", max_size=40))
def test_no_expression_breaks_the_reader(expression: str) -> None:
    try:
        test = read(expression)
    except ConditionError:
        return
    assert test(OBJECT) in (True, False)


def test_what_is_granted_to_anyone_counts_for_nothing_once_public_access_is_prevented(account: Account, caller: Resource) -> None:
    bucket = account.make(BUCKET, "bucket", {"location": REGION, "name": "one"})
    for member in ("allUsers", "allAuthenticatedUsers"):
        account.make(BUCKET_MEMBER, member, {"bucket": "one", "role": "roles/storage.objectViewer", "member": member})
    asked, name = account.twin.gcp.iam.allowed, "projects/_/buckets/one/objects/o"
    assert [asked(who, "storage.objects.get", name) for who in (ANONYMOUS, caller["email"])] == [None, None]
    closed = account.change(bucket, {"publicAccessPrevention": "enforced"})
    assert None not in [asked(who, "storage.objects.get", name) for who in (ANONYMOUS, caller["email"])]
    account.make(BUCKET_MEMBER, "known", {"bucket": closed.id, "role": "roles/storage.objectViewer", "member": caller["member"]})
    assert asked(caller["email"], "storage.objects.get", name) is None
