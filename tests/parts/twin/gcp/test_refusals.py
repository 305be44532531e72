"""What Google refuses at creation or deletion: APIs that are off, identities and resources that are not there, what is protected."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.twin.gcp.types import (
    API_CONFIG,
    BUCKET_MEMBER,
    BUCKET_OBJECT,
    CHANNEL,
    DATABASE,
    ENABLED,
    NOTIFICATION,
    PROJECT_MEMBER,
    RUN_MEMBER,
    RUN_SERVICE,
    TOPIC,
    TRIGGER,
)
from pilotlight.twin.rows import Refusal
from tests.parts.twin.gcp.account import PROJECT, REGION, Account
from tests.parts.twin.gcp.declared import Made, container

MISSING = "serviceAccount:nobody@tried-project.iam.gserviceaccount.com"


def test_nothing_is_made_before_its_api_is_on(account: Account) -> None:
    said = account.refused(TOPIC, {})
    assert "SERVICE_DISABLED: pubsub.googleapis.com has not been used in project tried-project before" in said
    assert "gcp.projects.Service(…, service='pubsub.googleapis.com')" in said
    account.enable("pubsub")
    assert account.make(TOPIC, "topic", {})["project"] == PROJECT
    assert "SERVICE_DISABLED" in account.refused(TOPIC, {"project": "other-project"})


def test_an_api_that_was_left_on_stays_on_and_another_is_switched_off(account: Account) -> None:
    kept = account.make(ENABLED, "kept", {"service": "pubsub.googleapis.com"})
    gone = account.make(ENABLED, "gone", {"service": "run.googleapis.com", "disableOnDestroy": True})
    for one in (kept, gone):
        account.delete(one)
    account.make(TOPIC, "topic", {})
    assert "SERVICE_DISABLED" in account.refused(RUN_SERVICE, {"location": REGION, "template": {"containers": [container("i")]}})


def test_a_service_that_google_does_not_have_is_refused(account: Account) -> None:
    assert "did you mean 'firestore.googleapis.com'?" in account.refused(ENABLED, {"service": "firestor.googleapis.com"})
    assert "is no managed service of an API here" in account.refused(ENABLED, {"service": "x.apigateway.p.cloud.goog"})


@pytest.mark.parametrize(
    "name", ["member", "repositoryMember", "invoker", "bucketMember", "topicMember", "subscriptionMember", "accountMember"]
)
def test_nothing_is_granted_to_nobody(whole: tuple[Account, Made], name: str) -> None:
    account, made = whole
    inputs = {key: value for key, value in made[name].inputs.items() if key != "condition"}
    assert "does not exist: make it in this program" in account.refused(made[name].token, {**inputs, "member": MISSING})
    assert "Role projects/tried-project/roles/none does not exist" in account.refused(
        made[name].token, {**inputs, "role": f"projects/{PROJECT}/roles/none"}
    )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("repositoryMember", {"repository": "none"}),
        ("invoker", {"name": "none"}),
        ("bucketMember", {"bucket": "none"}),
        ("topicMember", {"topic": "none"}),
        ("subscriptionMember", {"subscription": "none"}),
        ("accountMember", {"serviceAccountId": f"projects/{PROJECT}/serviceAccounts/none@x.iam.gserviceaccount.com"}),
    ],
)
def test_nothing_is_granted_on_nothing(whole: tuple[Account, Made], name: str, change: dict[str, Any]) -> None:
    account, made = whole
    assert "does not exist" in account.refused(made[name].token, {**made[name].inputs, **change})


def test_a_private_bucket_opens_to_nobody_unknown(account: Account, made: Made) -> None:
    inputs = {**made["bucketMember"].inputs, "member": "allUsers"}
    assert "publicAccessPrevention is enforced" in account.refused(BUCKET_MEMBER, inputs)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("service", {"template": {"containers": [container("europe-west1-docker.pkg.dev/tried-project/images/other:1")]}}, "not found"),
        (
            "service",
            {"template": {"serviceAccount": "x@y.iam.gserviceaccount.com", "containers": [container("i")]}},
            "x@y.iam.gserviceaccount.com does not",
        ),
        ("config", {"api": "another"}, "apis/another' was not found"),
        ("gateway", {"apiConfig": "projects/p/locations/global/apis/a/configs/c"}, "was not found: use an ApiConfig's `id`"),
        ("subscription", {"topic": "none"}, "there is no topic projects/tried-project/topics/none"),
        ("subscription", {"deadLetterPolicy": {"deadLetterTopic": "none"}}, "topics/none"),
        ("notification", {"bucket": "none"}, "bucket does not exist: none"),
        ("notification", {"topic": "none"}, "Topic projects/tried-project/topics/none does not exist"),
        ("object", {"bucket": "none"}, "bucket does not exist: none"),
        ("index", {"database": "none"}, "databases/none does not exist"),
        ("field", {"database": "none"}, "databases/none does not exist"),
        ("policy", {"notificationChannels": ["none"]}, "The notification channel none does not exist"),
        ("subnetwork", {"network": "none"}, "networks/none' was not found"),
        ("subnetwork", {"name": "other", "ipCidrRange": "10.8.0.32/27"}, "overlaps with 10.8.0.0/26"),
        ("key", {"name": "another", "restrictions": {"apiTargets": [{"service": "translate.googleapis.com"}]}}, "SERVICE_DISABLED"),
        ("budget", {"allUpdatesRule": {"pubsubTopic": "none"}}, "Topic none does not exist"),
        (
            "job",
            {"httpTarget": {"uri": "https://x", "oidcToken": {"serviceAccountEmail": "x@y.z"}}},
            "Service account x@y.z does not exist",
        ),
        ("job", {"httpTarget": None, "pubsubTarget": {"topicName": "none", "data": "e30="}}, "Topic none does not exist"),
    ],
)
def test_what_is_not_there_cannot_be_used(whole: tuple[Account, Made], name: str, change: dict[str, Any], expected: str) -> None:
    account, made = whole
    inputs = {key: value for key, value in {**made[name].inputs, **change}.items() if value is not None}
    assert expected in account.refused(made[name].token, inputs)


def test_an_alert_on_a_metric_that_does_not_exist_is_refused(account: Account, made: Made) -> None:
    account.delete(made["metric"])
    assert "Cannot find metric that matches type" in account.refused(made["policy"].token, dict(made["policy"].inputs))


def trigger(account: Account, made: Made, **change: Any) -> str:
    return account.refused(TRIGGER, {**made["trigger"].inputs, "name": "another", **change})


def test_a_trigger_and_its_bucket_are_in_one_region(account: Account, made: Made) -> None:
    assert "is in europe-west1 and the trigger in us-central1: a trigger must be where its bucket is" in trigger(
        account, made, location="us-central1"
    )


def test_a_trigger_needs_the_agents_and_their_grants(account: Account, made: Made) -> None:
    account.delete(made["trigger"])
    (agents_grant,) = [one for one in account.world.find(PROJECT_MEMBER) if one["role"] == "roles/pubsub.publisher"]
    account.world.delete(PROJECT_MEMBER, agents_grant.id)
    said = trigger(account, made)
    assert "unable to publish to Cloud Pub/Sub topics" in said
    assert "roles/pubsub.publisher" in said
    account.world.put(agents_grant)
    account.world.delete(PROJECT_MEMBER, made["member"].id)
    assert 'Permission "eventarc.events.receiveEvent" denied' in trigger(account, made)
    account.world.put(made["member"])
    account.world.delete(PROJECT_MEMBER, made["agent-role"].id)
    assert "Grant it roles/eventarc.serviceAgent on the project" in trigger(account, made)
    account.world.delete(made["identity"].token, made["identity"].id)
    assert "Permission denied while using the Eventarc Service Agent: it does not exist" in trigger(account, made)


def test_a_notification_needs_the_agents_right_to_publish(account: Account, made: Made) -> None:
    for one in account.world.find(PROJECT_MEMBER, role="roles/pubsub.publisher"):
        account.world.delete(one.token, one.id)
    assert "does not have permission to publish messages" in account.refused(NOTIFICATION, dict(made["notification"].inputs))


def test_an_agent_is_granted_nothing_before_it_exists(account: Account) -> None:
    account.enable("cloudresourcemanager", "pubsub")
    agent = "serviceAccount:service-954363167707@gcp-sa-pubsub.iam.gserviceaccount.com"
    grant = {"project": PROJECT, "role": "roles/iam.serviceAccountTokenCreator", "member": agent}
    assert "projects.ServiceIdentity" in account.refused(PROJECT_MEMBER, grant)
    account.make(TOPIC, "topic", {})
    account.make(PROJECT_MEMBER, "member", grant)


def test_what_is_protected_stays(account: Account, made: Made) -> None:
    account.set(made["service"], deletionProtection=True)
    with pytest.raises(Refusal, match="without setting deletionProtection=false"):
        account.delete(made["service"])
    account.set(made["database"], deletionPolicy="DELETE", deleteProtectionState="DELETE_PROTECTION_ENABLED")
    with pytest.raises(Refusal, match="DELETE_PROTECTION_DISABLED"):
        account.delete(made["database"])
    account.set(made["topic"], deletionPolicy="PREVENT")
    with pytest.raises(Refusal, match="its deletionPolicy is PREVENT"):
        account.delete(made["topic"])
    with pytest.raises(Refusal, match=r"holds objects \(1\): delete them, or set forceDestroy"):
        account.delete(made["bucket"])
    account.set(made["bucket"], forceDestroy=True)
    account.delete(made["bucket"])
    assert not account.world.find(BUCKET_OBJECT)


def test_cloud_run_protects_a_service_unless_it_is_told_otherwise(account: Account, made: Made) -> None:
    inputs = {key: value for key, value in made["service"].inputs.items() if key != "deletionProtection"}
    again = account.make(RUN_SERVICE, "again", {**inputs, "name": "again"})
    assert again["deletionProtection"] is True
    with pytest.raises(Refusal, match="it is true by default"):
        account.delete(again)


def test_a_database_is_forgotten_and_not_deleted_unless_it_is_told_otherwise(account: Account, made: Made) -> None:
    assert made["database"]["deletionPolicy"] == "ABANDON"
    account.delete(made["database"])
    assert account.world.get(DATABASE, made["database"].id) is not None
    assert "exists already" in account.refused(DATABASE, dict(made["database"].inputs))


def test_what_is_in_use_stays(account: Account, made: Made) -> None:
    for name, expected in (
        ("config", "is in use by"),
        ("api", "has configs"),
        ("network", "is used by"),
        ("subnetwork", "is used by"),
        ("channel", "is used by 1 alert policies"),
    ):
        with pytest.raises(Refusal, match=expected):
            account.delete(made[name])
    account.change(made["channel"], {"forceDelete": True})
    account.delete(account.world.find(CHANNEL)[0])


def test_a_config_is_replaced_before_the_old_one_goes(account: Account, made: Made) -> None:
    newer = account.make(API_CONFIG, "newer", {**made["config"].inputs})
    account.change(made["gateway"], {"apiConfig": newer.id})
    account.delete(made["config"])
    assert [one.id for one in account.world.find(API_CONFIG)] == [newer.id]


def test_two_of_one_name_cannot_be(account: Account, made: Made) -> None:
    for name in ("bucket", "topic", "service", "api"):
        inputs = dict(made[name].inputs)
        assert "exists already" in account.refused(made[name].token, inputs)
    account.make(RUN_MEMBER, "again", dict(made["invoker"].inputs))


def test_a_revision_of_a_fixed_name_cannot_change(account: Account, made: Made) -> None:
    fixed = {**made["service"]["template"], "revision": f"{made['service']['name']}-fixed"}
    account.change(made["service"], {"template": fixed})
    held = account.world.find(RUN_SERVICE)[0]
    with pytest.raises(Refusal, match="with different configuration already exists"):
        account.change(held, {"template": {**fixed, "timeout": "10s"}})
