"""Policies of AWS as rules read them: JSON text or values, one statement or a list."""

from collections.abc import Iterator, Mapping
from typing import Any

from .reading import Resource

# Where a type has a policy that says what an identity may do, and one that says who may use a resource.
IDENTITY = {"aws:iam/rolePolicy:RolePolicy": "policy", "aws:iam/policy:Policy": "policy", "aws:iam/userPolicy:UserPolicy": "policy"}
RESOURCE = {
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
}


def as_list(value: Any) -> list[Any]:
    """What AWS takes alone or in a list."""
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def statements(resource: Resource, path: str, effect: str = "Allow") -> Iterator[Mapping[str, Any]]:
    """The statements of one effect in the policy at a path."""
    document = resource.document(path)
    for each in as_list((document or {}).get("Statement")):
        if each.get("Effect") == effect:
            yield each


def principals(statement: Mapping[str, Any]) -> list[str]:
    """Whom a statement names, without the kind."""
    named = statement.get("Principal")
    if isinstance(named, Mapping):
        return [str(one) for each in named.values() for one in as_list(each)]
    return [str(each) for each in as_list(named)]


def keys_of(statement: Mapping[str, Any]) -> set[str]:
    """The condition keys of a statement, in small letters."""
    return {str(key).lower() for each in (statement.get("Condition") or {}).values() for key in each}
