"""parliament, cloudsplaining and policy-sentry over every role and every resource policy of every ready stack and variant."""

import functools
from typing import Any

import pytest

from tests.security import judges
from tests.security.accepted import ACCEPTED
from tests.security.grants import RECORDED, lines
from tests.security.judges import Finding
from tests.security.plans import Document, names, resource_policies, roles, unread_policies

# Google Cloud has no policies of this kind: `test_google.py`.
VARIANTS = [name for name in names() if name.startswith("aws-")]
ARN = "arn:aws:s3:::bucket/models/*"


@functools.cache
def findings(variant: str) -> frozenset[Finding]:
    """All that the tools say of one variant."""
    found: list[Finding] = []
    for role in roles(variant):
        found += [*judges.trust_by_parliament(role.name, role.trust), *judges.trust_by_cloudsplaining(role.name, role.trust)]
        found += [*judges.by_own_rule(role.name, role.trust), *judges.by_cloudsplaining(role.name, role.union())]
        for document in role.documents().values():
            found += [*judges.by_parliament(role.name, document), *judges.by_policy_sentry(role.name, document)]
    for name, document in resource_policies(variant):
        found += [*judges.by_parliament(name, document), *judges.resource_policy_by_cloudsplaining(name, document)]
        found += [*judges.by_own_rule(name, document), *judges.by_policy_sentry(name, document)]
    return frozenset(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_role_and_no_policy_is_found_fault_with(variant):
    assert sorted(each for each in findings(variant) if not any(accepted.covers(each) for accepted in ACCEPTED)) == []


@pytest.mark.parametrize("accepted", ACCEPTED, ids=lambda each: f"{each.tool} {each.issue} {each.subject}")
def test_every_accepted_finding_is_still_found(accepted):
    assert any(accepted.covers(each) for variant in VARIANTS for each in findings(variant))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_policy_of_a_plan_is_read_and_every_role_has_one(variant):
    assert unread_policies(variant) == []
    assert [role.name for role in roles(variant) if not role.documents()] == []
    assert len(roles(variant)) >= 1


def test_what_is_granted_is_what_the_snapshot_says():
    """A new right shows up in a review: `python -m tests.security --record` writes the snapshot again."""
    assert lines() == RECORDED.read_text().splitlines()


def allow(actions: Any, resource: Any, **more: Any) -> Document:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource, **more}]}


SERVICE = {"Principal": {"Service": "s3.amazonaws.com"}}


@pytest.mark.parametrize(
    ("judge", "document", "issue"),
    [
        (judges.by_parliament, allow("s3:GetObjcet", ARN), "UNKNOWN_ACTION"),
        (judges.by_parliament, allow("s3:GetObject", "*"), "RESOURCE_STAR"),
        (judges.by_parliament, allow("s3:GetObject", "arn:aws:s3:::bucket"), "RESOURCE_MISMATCH"),
        (judges.by_parliament, allow("iam:PassRole", "*"), "PERMISSIONS_MANAGEMENT_ACTIONS"),
        (
            judges.by_parliament,
            allow("s3:GetObject", ARN, Condition={"StringEquals": {"s3:prefix": "x"}}),
            "UNKNOWN_CONDITION_FOR_ACTION",
        ),
        (
            judges.by_cloudsplaining,
            allow(["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"], "*"),
            "allows_privilege_escalation",
        ),
        (judges.by_cloudsplaining, allow("s3:GetObject", "*"), "allows_data_exfiltration_actions"),
        (judges.by_cloudsplaining, allow("sqs:*", "arn:aws:sqs:us-east-1:111122223333:q"), "service_wildcard"),
        (judges.by_policy_sentry, allow("sqs:SendMessages", ARN), "unknown action"),
        (judges.by_policy_sentry, allow("s3:Get*", ARN), "unknown action"),
        (judges.by_policy_sentry, allow("s3:GetObject", "*"), "* where a resource is possible"),
        (judges.by_policy_sentry, allow("s3:GetObject", "arn:aws:s3:::bucket"), "resource of another kind"),
        (judges.by_own_rule, allow("sqs:SendMessage", "*", **SERVICE), "not bound to a source"),
        (judges.by_own_rule, allow("sqs:SendMessage", "*", Principal="*"), "lets in more than services"),
        (judges.trust_by_parliament, allow("sts:AssumeRoles", "*", **SERVICE), "UNKNOWN_ACTION"),
        (judges.trust_by_cloudsplaining, allow("sts:AssumeRole", "*", Principal={"AWS": "*"}), "role_assumable_by_any_principal"),
        (judges.resource_policy_by_cloudsplaining, allow("sqs:SendMessage", "*", Principal="*"), "internet_accessible_actions"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value if isinstance(value, str) else "",
)
def test_each_judge_finds_its_fault(judge, document, issue):
    assert issue in {finding.issue for finding in judge("role", document)}


@pytest.mark.parametrize(
    ("resource", "fits"),
    [(ARN, True), ("arn:aws:s3:::bucket", False), ("arn:aws:sqs:us-east-1:1:q", False), ("arn:aws:s3:::*", True)],
)
def test_a_resource_is_of_a_kind_when_some_arn_of_that_kind_fits_it(resource, fits):
    assert judges.matches("arn:${Partition}:s3:::${BucketName}/${ObjectName}", resource) is fits
