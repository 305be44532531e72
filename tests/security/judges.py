"""What parliament, cloudsplaining and policy-sentry say of one policy, each finding as one line of one form."""

import functools
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cloudsplaining.scan.assume_role_policy_document import AssumeRolePolicyDocument
from cloudsplaining.scan.policy_document import PolicyDocument
from cloudsplaining.scan.resource_policy_document import ResourcePolicyDocument
from policy_sentry.querying.actions import get_action_data

from tests.security.plans import Document, as_list, statements

with warnings.catch_warnings():
    # It imports pkg_resources, which warns of its own end.
    warnings.simplefilter("ignore")
    import parliament

CLOUDSPLAINING = (
    "allows_privilege_escalation",
    "allows_data_exfiltration_actions",
    "contains_statement_using_not_action",
    "credentials_exposure",
    "infrastructure_modification",
    "permissions_management_without_constraints",
    "service_wildcard",
    "tagging_actions_without_constraints",
    "write_actions_without_constraints",
)


@dataclass(frozen=True, order=True)
class Finding:
    """`subject` is the logical name of the role or of the resource with the policy."""

    tool: str
    issue: str
    subject: str
    detail: str


def by_parliament(subject: str, document: Document, *, dangers: bool = True) -> Iterator[Finding]:
    """Unknown actions and conditions, resources of the wrong kind, `*` where a resource is possible; with `dangers` what it allows."""
    policy = parliament.analyze_policy_string(json.dumps(document), include_community_auditors=dangers)
    for found in policy.findings:
        told = found.detail or found.location.get("actions", "")
        yield Finding("parliament", found.issue, subject, told if isinstance(told, str) else json.dumps(told, default=str))


def trust_by_parliament(subject: str, trust: Document) -> Iterator[Finding]:
    """A trust policy is about the role that carries it, which parliament wants to read in it."""
    whole = {**trust, "Statement": [{**each, "Resource": "arn:aws:iam::111122223333:role/any"} for each in statements(trust)]}
    # To be assumed is what a role is for: that it hands out credentials is no news.
    yield from by_parliament(subject, whole, dangers=False)


def by_cloudsplaining(subject: str, document: Document) -> Iterator[Finding]:
    """What the role could be abused for, by all that it may do together."""
    policy = PolicyDocument(document)
    for issue in CLOUDSPLAINING:
        for found in getattr(policy, issue):
            yield Finding("cloudsplaining", issue, subject, found if isinstance(found, str) else json.dumps(found))


def trust_by_cloudsplaining(subject: str, trust: Document) -> Iterator[Finding]:
    """Roles that another account or anybody may take."""
    policy = AssumeRolePolicyDocument(trust)
    for issue in ("role_assumable_by_cross_account_principals", "role_assumable_by_any_principal"):
        found: Any = getattr(policy, issue)
        for each in as_list(found) if found else []:
            yield Finding("cloudsplaining", issue, subject, str(each))


def resource_policy_by_cloudsplaining(subject: str, document: Document) -> Iterator[Finding]:
    """Actions that the whole internet may do."""
    for action in ResourcePolicyDocument(document).internet_accessible_actions:
        yield Finding("cloudsplaining", "internet_accessible_actions", subject, str(action))


def by_own_rule(subject: str, document: Document) -> Iterator[Finding]:
    """Trust and resource policies: a service is let in on behalf of this account or of one thing in it, nobody else is let in."""
    for statement in statements(document):
        if statement["Effect"] != "Allow":
            continue
        principal = statement["Principal"]
        if not isinstance(principal, dict) or set(principal) != {"Service"}:
            yield Finding("own rule", "lets in more than services", subject, json.dumps(principal))
        keys = {key.lower() for test in statement.get("Condition", {}).values() for key in test}
        if not keys & {"aws:sourceaccount", "aws:sourcearn"}:
            yield Finding("own rule", "not bound to a source", subject, json.dumps(principal))


def by_policy_sentry(subject: str, document: Document) -> Iterator[Finding]:
    """Against AWS's own list of actions: each exists, none is a pattern, each resource is of a kind that the action takes."""
    for statement in statements(document):
        if statement["Effect"] != "Allow":
            continue
        for action in as_list(statement["Action"]):
            forms = resource_forms(action)
            if not forms:
                yield Finding("policy-sentry", "unknown action", subject, action)
                continue
            for resource in as_list(statement["Resource"]):
                if resource == "*" and forms != {"*"}:
                    yield Finding("policy-sentry", "* where a resource is possible", subject, action)
                elif resource != "*" and not any(matches(form, resource) for form in forms):
                    yield Finding("policy-sentry", "resource of another kind", subject, f"{action} on {resource}")


@functools.cache
def resource_forms(action: str) -> frozenset[str]:
    """The ARN formats that an action takes, `*` alone where it has no resource level; empty for an unknown action or a pattern."""
    service, _, name = action.partition(":")
    found = get_action_data(service, name) if name and "*" not in name else False
    return frozenset(row["resource_arn_format"] for rows in found.values() for row in rows) if found else frozenset()


@functools.cache
def matches(form: str, resource: str) -> bool:
    """Whether an ARN of the format `arn:${Partition}:s3:::${BucketName}/${ObjectName}` can fit `resource`, a pattern with `*`."""
    return form != "*" and _overlap(re.sub(r"\$\{\w+\}", "*", form), resource)


def _overlap(one: str, other: str) -> bool:
    """Whether two patterns have a text in common: position by position, for all ways that `*` can stretch."""
    reach = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if (i, j) == (len(one), len(other)):
            return True
        a, b = one[i : i + 1], other[j : j + 1]
        steps = [(i + 1, j)] * (a == "*") + [(i, j + 1)] * (b == "*")
        if a and b:
            steps += [(i + (a != "*"), j + (b != "*"))] * ("*" in (a, b) or a == b)
        new = [step for step in steps if step not in reach]
        reach.update(new)
        todo += new
    return False
