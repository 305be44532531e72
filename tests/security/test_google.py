"""Own rules over every plan on Google Cloud: nothing is found, and each rule finds its fault."""

import copy
from typing import Any

import pytest

from tests.security.google_rules import CUSTOM, GRANTS, RUN, findings
from tests.security.plans import names, resources

VARIANTS = [name for name in names() if name.startswith("gcp-")]
PROJECT_MEMBER, BUCKET_MEMBER = "gcp:projects/iAMMember:IAMMember", "gcp:storage/bucketIAMMember:BucketIAMMember"
RUN_MEMBER, BUCKET = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember", "gcp:storage/bucket:Bucket"
PUSH, JOB = "gcp:pubsub/subscription:Subscription", "gcp:cloudscheduler/job:Job"
ACCOUNT = "serviceAccount:api@my-project.iam.gserviceaccount.com"


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_rule_is_broken(variant: str) -> None:
    assert findings(resources(variant)) == []


def test_every_grant_that_may_be_is_some_plans() -> None:
    made = [each for variant in VARIANTS for each in resources(variant)]
    granted = {(each["inputs"]["role"], each["type"]) for each in made if "member" in each["inputs"]}
    assert set(GRANTS) <= granted
    assert {frozenset(each["inputs"]["permissions"]) for each in made if "permissions" in each["inputs"]} == set(CUSTOM)


def found(type_: str, inputs: dict[str, Any]) -> list[str]:
    return findings([{"type": type_, "name": "bad", "inputs": inputs, "outputs": {}}])


def grant(role: str, member: str = ACCOUNT, **more: Any) -> dict[str, Any]:
    return {"role": role, "member": member, **more}


@pytest.mark.parametrize(
    ("type_", "inputs", "told"),
    [
        (RUN_MEMBER, grant("roles/run.invoker", "allUsers"), "open to anyone: bad: allUsers"),
        (BUCKET_MEMBER, grant("roles/storage.objectViewer", "allAuthenticatedUsers"), "open to anyone: bad: allAuthenticatedUsers"),
        (BUCKET, {"publicAccessPrevention": "inherited"}, "open to anyone: bad: publicAccessPrevention is not enforced"),
        (PROJECT_MEMBER, grant("roles/editor"), "wider than its use: bad: roles/editor is a basic role, or one that gives roles"),
        (
            PROJECT_MEMBER,
            grant("roles/storage.admin"),
            "wider than its use: bad: roles/storage.admin is a basic role, or one that gives roles",
        ),
        (
            PROJECT_MEMBER,
            grant("roles/run.invoker"),
            f"wider than its use: bad: roles/run.invoker [] on {PROJECT_MEMBER}: no reason stands for it",
        ),
        (PROJECT_MEMBER, grant("roles/datastore.user"), "wider than its use: bad: roles/datastore.user without its condition"),
        (PROJECT_MEMBER, grant("roles/pubsub.publisher"), f"wider than its use: bad: roles/pubsub.publisher on the project for {ACCOUNT}"),
        (
            RUN_MEMBER,
            grant("roles/run.invoker", "serviceAccount:123-compute@developer.gserviceaccount.com"),
            "the project's default account: bad: -compute@developer.gserviceaccount.com",
        ),
        ("gcp:eventarc/trigger:Trigger", {"name": "t"}, "the project's default account: bad: no serviceAccount"),
        (
            "gcp:apigateway/apiConfig:ApiConfig",
            {},
            "the project's default account: bad: no gatewayConfig.backendConfig.googleServiceAccount",
        ),
        (PUSH, {"pushConfig": {"pushEndpoint": "https://x"}}, "a caller that proves nothing: bad: calls without a token"),
        (JOB, {"httpTarget": {"uri": "https://x"}}, "a caller that proves nothing: bad: calls without a token"),
        ("gcp:projects/apiKey:ApiKey", {"displayName": "k"}, "a caller that proves nothing: bad: a key for every API"),
    ],
    ids=lambda value: value if isinstance(value, str) and ": bad: " in value else "",
)
def test_each_rule_finds_its_fault(type_: str, inputs: dict[str, Any], told: str) -> None:
    assert told in found(type_, inputs)


@pytest.mark.parametrize(
    ("way", "value", "rule"),
    [
        (("invokerIamDisabled",), True, "open to anyone"),
        (("template", "serviceAccount"), None, "the project's default account"),
        (("template", "serviceAccount"), "1-compute@developer.gserviceaccount.com", "the project's default account"),
        (("template", "scaling", "maxInstanceCount"), None, "unbounded"),
        (("template", "timeout"), None, "unbounded"),
        (("template", "containers"), [{"image": "eu.pkg.dev/p/r/i:latest"}], "unbounded"),
        (("template", "containers"), [{"image": "i@sha256:0", "envs": [{"name": "DB_PASSWORD", "value": "x"}]}], "a secret in clear"),
    ],
)
def test_a_service_with_one_fault_is_found(way: tuple[str, ...], value: Any, rule: str) -> None:
    """A service of a plan, which is found no fault with, with one thing changed."""
    [service] = [each for each in resources("gcp-cloud-run-api") if each["type"] == RUN and each["name"].endswith("-endpoint-service")]
    broken = copy.deepcopy(service)
    place = broken["inputs"]
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    assert findings([service]) == []
    assert [each.partition(":")[0] for each in findings([broken])] == [rule]


def test_a_role_of_ones_own_with_one_right_more_is_found() -> None:
    plan = copy.deepcopy(resources("gcp-cloud-run-api+drop-scheduled"))
    role = next(each for each in plan if each["name"].endswith("-floor-role"))
    role["inputs"]["permissions"].append("run.services.setIamPolicy")
    assert len(findings(plan)) > 0
    assert {each.partition(":")[0] for each in findings(plan)} == {"wider than its use"}
