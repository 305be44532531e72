"""Policies as rules read them: JSON text or values, one statement or a list; whom they let in, on what condition, to what."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .reading import Resource, View, every

# Where a type has a policy that says what an identity may do, and one that says who may use a resource; `.*.` goes through a list.
IDENTITY = {
    "aws:iam/groupPolicy:GroupPolicy": "policy",
    "aws:iam/policy:Policy": "policy",
    "aws:iam/role:Role": "inlinePolicies.*.policy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:iam/userPolicy:UserPolicy": "policy",
}
RESOURCE = {
    "aws:apigateway/restApi:RestApi": "policy",
    "aws:apigateway/restApiPolicy:RestApiPolicy": "policy",
    "aws:dynamodb/resourcePolicy:ResourcePolicy": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:s3/bucket:Bucket": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:secretsmanager/secret:Secret": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:sns/topic:Topic": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queue:Queue": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
}
# Of a bucket, not below a prefix of it.
_ALL_OBJECTS = re.compile(r"\*|arn:aws[a-z-]*:s3:::[^/]+/\*")
_EQUAL = {"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress"}
_UNEQUAL = {"stringnotequals", "stringnotequalsignorecase", "stringnotlike", "arnnotequals", "arnnotlike", "notipaddress"}
# Services whose ARNs start with the name; those of others have the kind before it (service authorization reference).
_WITHOUT_KIND = ("s3", "sqs", "sns", "execute-api")


def as_list(value: Any) -> list[Any]:
    """What AWS takes alone or in a list."""
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def statements(resource: Resource, path: str, effect: str = "Allow") -> Iterator[Mapping[str, Any]]:
    """The statements of one effect in the policies at a path. Raises Unread at the end, for policies that could not be read."""
    holder, several, key = path.partition(".*.")
    parts: list[View] = resource.each(holder) if several else [resource]
    return every(parts, lambda part: _statements(part, key or path, effect))


def _statements(part: View, path: str, effect: str) -> Iterator[Mapping[str, Any]]:
    for each in as_list((part.document(path) or {}).get("Statement")):
        if each.get("Effect") == effect:
            yield each


def bindings(resource: Resource) -> Iterator[tuple[str, list[str]]]:
    """Role and members of each grant in a whole policy of Google's (`policyData`)."""
    for each in as_list((resource.document("policyData") or {}).get("bindings")):
        yield str(each.get("role")), [str(one) for one in as_list(each.get("members"))]


def principals(statement: Mapping[str, Any]) -> list[str]:
    """Whom a statement names, without the kind."""
    named = statement.get("Principal")
    if isinstance(named, Mapping):
        return [str(one) for each in named.values() for one in as_list(each)]
    return [str(each) for each in as_list(named)]


def bound(statement: Mapping[str, Any]) -> dict[str, list[str]]:
    """The condition keys of a statement, in small letters, that it binds to values which name something. A negation binds nothing, nor does
    a test that a call without the key passes (`IfExists`, `ForAllValues:`)."""
    found: dict[str, list[str]] = {}
    for operator, key, values in _conditions(statement):
        if operator.removeprefix("foranyvalue:") in _EQUAL and all(map(narrow, values)):
            found.setdefault(key, []).extend(values)
    return found


def asked_by_services(statement: Mapping[str, Any]) -> bool:
    """Whether it allows only what a service of AWS's asks in the name of who has the policy, for a call that this one made."""
    return ("bool", "aws:viaawsservice", ["true"]) in _conditions(statement)


def kept_out(statement: Mapping[str, Any]) -> str:
    """The condition key, in small letters, without whose values a denial keeps everyone out; empty where it does not."""
    given = list(_conditions(statement))
    if "*" not in principals(statement) or len(given) != 1:
        return ""
    ((operator, key, values),) = given
    return key if operator.removesuffix("ifexists") in _UNEQUAL and all(map(narrow, values)) else ""


def denies_plain_http(statement: Mapping[str, Any]) -> bool:
    """Whether a denial refuses every request to a bucket's objects that comes without TLS."""
    given = [(operator.removesuffix("ifexists"), key, *map(str.lower, values)) for operator, key, values in _conditions(statement)]
    everything = {"*", "s3:*"} & {str(each).lower() for each in as_list(statement.get("Action"))}
    objects = any(_ALL_OBJECTS.fullmatch(str(each)) for each in as_list(statement.get("Resource")))
    return bool("*" in principals(statement) and everything and objects and given == [("bool", "aws:securetransport", "false")])


def _conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """(operator in small letters, key in small letters, values)"""
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, values in keys.items():
            yield str(operator).lower(), str(key).lower(), [str(each) for each in as_list(values)]


def within(statement: Mapping[str, Any], wider: Mapping[str, Any]) -> bool:
    """Whether another statement is about everything that this one is about."""
    return all(
        any(re.fullmatch(_pattern(str(other)), str(one), re.IGNORECASE) for other in as_list(wider.get(key)))
        for key in ("Action", "Resource")
        for one in as_list(statement.get(key))
    )


def _pattern(text: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in text)


def every_one(arn: str) -> bool:
    """Whether it stands for every resource of its kind: `*`, or an ARN whose name is a wildcard alone."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return "*" in arn
    names = [each for each in re.split("[:/]", parts[5]) if each] or ["*"]
    return not _literal(names[0] if parts[2] in _WITHOUT_KIND or len(names) == 1 else names[1])


def narrow(value: str) -> bool:
    """Whether a condition's value, with its wildcards, is less than all: of an ARN the account or the resource is named."""
    parts = value.split(":", 5)
    if value.startswith("arn:"):
        return len(parts) == 6 and (_literal(parts[4]) or not every_one(value))
    return _literal(value) and not value.endswith("/0")


def _literal(text: str) -> bool:
    return text.strip("*?") != ""
