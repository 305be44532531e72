"""What holds in every plan on Google Cloud, whatever is set: identities, rights, images, order."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from docs.generate.options import judged, shown
from pilotlight.planned import Planned, ready_stacks
from tests.planned.gcp.conftest import ACCOUNT, ENABLED, RUN, container, plan_of

VARIANTS = [
    pytest.param(stack, changes, id=f"{stack} {words}")
    for stack in ready_stacks()
    if stack.startswith("gcp-")
    for words, changes in {**judged(stack), **shown(stack)}.items()
]
EVERY = pytest.mark.parametrize(("stack", "changes"), VARIANTS)
# Which API a part of the SDK speaks to.
APIS: Mapping[str, tuple[str, ...]] = {
    "apigateway/": ("apigateway", "servicemanagement", "servicecontrol"),
    "artifactregistry/": ("artifactregistry",),
    "billing/": ("billingbudgets",),
    "cloudrunv2/": ("run",),
    "cloudscheduler/": ("cloudscheduler",),
    "compute/": ("compute",),
    "eventarc/": ("eventarc",),
    "firestore/": ("firestore",),
    "logging/": ("logging",),
    "monitoring/": ("monitoring",),
    "projects/apiKey:": ("apikeys",),
    "projects/iAMCustomRole:": ("iam",),
    "projects/iAMMember:": ("cloudresourcemanager",),
    "projects/serviceIdentity:": ("cloudresourcemanager",),
    "pubsub/": ("pubsub",),
    "serviceaccount/": ("iam",),
    "storage/": ("storage",),
}
# Roles on the whole project, by whose account, and the condition that keeps them small.
PROJECT_WIDE = (
    (r"roles/datastore\.user", r"(events|api|worker)-.*", r'resource\.name == "projects/my-project/databases/[\w-]+"'),
    (r"roles/eventarc\.eventReceiver", r"trigger-.*", ""),
    # Cloud Storage's own identity, which tells Eventarc of objects.
    (r"roles/pubsub\.publisher", r"service-\d+@gs-project-accounts\..*", ""),
    # What Google grants its own identities where it makes them unasked.
    (r"roles/(eventarc|pubsub)\.serviceAgent", r"service-\d+@gcp-sa-(eventarc|pubsub)\..*", ""),
    # Jobs of Cloud Scheduler have no policies of their own.
    (r"projects/my-project/roles/pilotlightPausesJobs\d+", r"floor-.*", ""),
)


@EVERY
def test_nothing_is_made_before_its_api_is_enabled(stack: str, changes: dict[str, Any]) -> None:
    plan = plan_of(stack, changes)
    enabled = {each.inputs["service"].split(".")[0]: each.urn for each in plan.all(ENABLED) if each.inputs["service"].endswith("apis.com")}
    for each in plan.resources:
        if each.type.startswith("gcp:") and each.type != ENABLED:
            [apis] = [apis for part, apis in APIS.items() if each.type.startswith(f"gcp:{part}")]
            assert {enabled[api] for api in apis} <= plan.before(each), each.name


@EVERY
def test_every_service_runs_as_an_account_that_nothing_else_runs_as(stack: str, changes: dict[str, Any]) -> None:
    plan = plan_of(stack, changes)
    accounts = {each.outputs["email"] for each in plan.all(ACCOUNT)}
    runs_as = [each.inputs["template"]["serviceAccount"] for each in plan.all(RUN)]
    assert len(runs_as) == len(set(runs_as))
    assert set(runs_as) <= accounts
    assert all(6 <= len(each.inputs["accountId"]) <= 30 for each in plan.all(ACCOUNT))


@EVERY
def test_only_the_gateways_function_and_an_open_endpoint_are_reached_from_outside(stack: str, changes: dict[str, Any]) -> None:
    for each in plan_of(stack, changes).all(RUN):
        opened = each.name == "api-function-service" or (each.name.endswith("-endpoint-service") and not changes.get("endpoint.private"))
        assert each.inputs["ingress"] == ("INGRESS_TRAFFIC_ALL" if opened else "INGRESS_TRAFFIC_INTERNAL_ONLY"), each.name


@EVERY
def test_apis_that_ask_for_a_quota_project_are_told_the_stacks_own(stack: str, changes: dict[str, Any]) -> None:
    made = plan_of(stack, changes)
    own = made.all("pulumi:providers:gcp")
    assert [(each.inputs["billingProject"], each.inputs["userProjectOverride"]) for each in own] in ([], [("my-project", "true")])
    for each in made.resources:
        wants = each.type in ("gcp:projects/apiKey:ApiKey", "gcp:billing/budget:Budget")
        assert bool(own and each.provider.startswith(f"{own[0].urn}::")) is wants, each.name


@EVERY
def test_nobody_is_everybody_and_no_role_is_a_basic_one(stack: str, changes: dict[str, Any]) -> None:
    plan = plan_of(stack, changes)
    text = json.dumps([each.inputs for each in plan.resources])
    assert [word for word in ("allUsers", "allAuthenticatedUsers", "compute@developer") if word in text] == []
    roles = {each.inputs["role"] for each in plan.resources if "role" in each.inputs}
    assert roles.isdisjoint({"roles/owner", "roles/editor", "roles/viewer"})
    assert {each.inputs["invokerIamDisabled"] for each in plan.all(RUN)} == {False}


@EVERY
def test_rights_on_the_whole_project_are_few_and_small(stack: str, changes: dict[str, Any]) -> None:
    for each in plan_of(stack, changes).all("gcp:projects/iAMMember:IAMMember"):
        who, under = each.inputs["member"].removeprefix("serviceAccount:"), each.inputs.get("condition", {}).get("expression", "")
        told = (each.inputs["role"], who, under)
        assert any(all(map(re.fullmatch, allowed, told)) for allowed in PROJECT_WIDE), told


@EVERY
def test_only_accounts_of_the_stack_and_agents_of_google_are_granted_anything(stack: str, changes: dict[str, Any]) -> None:
    plan = plan_of(stack, changes)
    accounts = {f"serviceAccount:{each.outputs['email']}" for each in plan.all(ACCOUNT)}
    members = {each.inputs["member"] for each in plan.resources if "member" in each.inputs}
    agents = r"serviceAccount:service-\d+@(gs-project-accounts|gcp-sa-pubsub|gcp-sa-eventarc)\.iam\.gserviceaccount\.com"
    assert [each for each in members - accounts if not re.fullmatch(agents, each)] == []
    # And every account may do something: one that may do nothing is a leftover.
    mentioned = json.dumps([each.inputs for each in plan.resources if each.type != ACCOUNT])
    assert [each for each in accounts if each.removeprefix("serviceAccount:") not in mentioned] == []


@EVERY
def test_what_runs_is_named_by_digest_and_bounded(stack: str, changes: dict[str, Any]) -> None:
    for each in plan_of(stack, changes).all(RUN):
        assert re.search(r"@sha256:[0-9a-f]{64}$", container(each)["image"]), each.name
        assert each.inputs["template"]["scaling"]["maxInstanceCount"] >= 1
        assert each.inputs["scaling"]["minInstanceCount"] <= each.inputs["template"]["scaling"]["maxInstanceCount"]


@EVERY
def test_a_condition_stands_only_where_the_provider_reads_it_again(stack: str, changes: dict[str, Any]) -> None:
    """It reads policies of Cloud Run and Pub/Sub in their first version, which has no conditions, and would take such a grant for gone."""
    honoured = ("gcp:projects/iAMMember:", "gcp:serviceaccount/iAMMember:", "gcp:storage/bucketIAMMember:")
    with_one = [each for each in plan_of(stack, changes).resources if "member" in each.inputs and "condition" in each.inputs]
    assert [each.name for each in with_one if not each.type.startswith(honoured)] == []


@EVERY
def test_data_is_deleted_or_kept_as_the_setting_says(stack: str, changes: dict[str, Any]) -> None:
    kept = changes.get("dataRetention") == "keep"
    for each in plan_of(stack, changes).resources:
        if holds_data(each):
            assert each.protect is kept, each.name


def holds_data(resource: Planned) -> bool:
    """Buckets and databases, but those of answers, which are all past in some hours; they go whatever is kept."""
    return resource.type in ("gcp:storage/bucket:Bucket", "gcp:firestore/database:Database") and "-answers-" not in resource.name
