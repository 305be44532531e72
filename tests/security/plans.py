"""The planned resources of every variant, and the policies among them. Standard library only."""

import functools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLANS_VARIABLE = "PILOTLIGHT_SECURITY_PLANS"
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
# Where resource policies stand: type → the input that holds the text.
RESOURCE_POLICIES = {
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
}
# Inputs that look like policies and are none: JSON rules of other kinds.
NO_POLICIES = {"aws:ecr/lifecyclePolicy:LifecyclePolicy"}
Document = dict[str, Any]


@dataclass
class Role:
    """One identity: who may take it, its own policies by name, the texts of AWS's policies that it has."""

    name: str
    trust: Document
    own: dict[str, Document] = field(default_factory=dict)
    managed: dict[str, Document] = field(default_factory=dict)

    def documents(self) -> dict[str, Document]:
        return self.own | self.managed

    def union(self) -> Document:
        """All that the role may do, as one policy: what is dangerous together stands in one document."""
        return {"Version": "2012-10-17", "Statement": [each for one in self.documents().values() for each in statements(one)]}


def names() -> list[str]:
    folder = os.environ.get(PLANS_VARIABLE)
    return sorted(path.stem for path in Path(folder).glob("*.json")) if folder else []


@functools.cache
def resources(variant: str) -> list[dict[str, Any]]:
    return list(json.loads((Path(os.environ[PLANS_VARIABLE]) / f"{variant}.json").read_text())["resources"])


def stack_of(variant: str) -> str:
    return variant.partition("+")[0]


def statements(document: Document) -> list[dict[str, Any]]:
    found = document["Statement"]
    return list(found) if isinstance(found, list) else [found]


def as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def fits(pattern: str, text: str) -> bool:
    """Whether the text fits a pattern whose only sign is `*`."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def roles(variant: str) -> list[Role]:
    """Every role of the variant, by its logical name."""
    found = {
        each["outputs"]["name"]: Role(each["name"], json.loads(each["inputs"]["assumeRolePolicy"]))
        for each in resources(variant)
        if each["type"] == ROLE
    }
    for each in resources(variant):
        if each["type"] == ROLE_POLICY:
            found[each["inputs"]["role"]].own[each["name"]] = json.loads(each["inputs"]["policy"])
        elif each["type"] == ATTACHMENT:
            found[each["inputs"]["role"]].managed[each["inputs"]["policyArn"]] = json.loads(each["outputs"]["document"])
    return sorted(found.values(), key=lambda role: role.name)


def resource_policies(variant: str) -> Iterator[tuple[str, Document]]:
    """(logical name, policy) of everything that says itself who may use it."""
    for each in resources(variant):
        if key := RESOURCE_POLICIES.get(each["type"]):
            yield each["name"], json.loads(each["inputs"][key])


def unread_policies(variant: str) -> list[str]:
    """Resources with the text of a policy that nothing here reads: tests fail on any."""
    known = {*RESOURCE_POLICIES, *NO_POLICIES, ROLE, ROLE_POLICY}
    return [
        f"{each['type']} {each['name']}: {key}"
        for each in resources(variant)
        for key, value in each["inputs"].items()
        if each["type"] not in known and isinstance(value, str) and '"Statement"' in value
    ]
