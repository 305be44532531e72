"""Evaluation of IAM policy documents: statements, principals, explicit deny first. Pure; knows nothing of the world."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

from pilotlight.twin.conditions import Context, PolicyError, as_list, glob_match, holds, parse_operator, resource_matches

__all__ = ["Effect", "PolicyError", "Question", "evaluate", "parse"]
_KEYS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal"}
_VERSIONS = ("2012-10-17", "2008-10-17")


class Effect(Enum):
    ALLOW = "allow"
    DENY = "explicit deny"
    NONE = "no statement matches"


@dataclass(frozen=True, kw_only=True)
class Question:
    """May `principals` (all names of one caller) do `action` on `resource`? Principals only count in resource and trust policies."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)
    principals: frozenset[str] = frozenset()


@lru_cache(maxsize=1024)
def parse(document: str) -> tuple[Mapping[str, Any], ...]:
    """The statements of a policy's JSON; PolicyError names what is wrong, or what this evaluator does not know."""
    try:
        policy = json.loads(document)
    except ValueError as error:
        raise PolicyError(f"not JSON: {error}") from None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise PolicyError("a policy must be an object with a Statement")
    if policy.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise PolicyError(f"Version {policy['Version']!r}: use {_VERSIONS[0]!r}")
    statements = tuple(as_list(policy["Statement"]))
    for number, statement in enumerate(statements):
        _check(statement, f"statement {number}")
    return statements


def _check(statement: Any, where: str) -> None:
    if not isinstance(statement, dict):
        raise PolicyError(f"{where} is not an object")
    if unknown := set(statement) - _KEYS:
        raise PolicyError(f"{where}: {sorted(unknown)} not known; known are {sorted(_KEYS)}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"{where}: Effect {statement.get('Effect')!r}: use 'Allow' or 'Deny'")
    if ("Action" in statement) == ("NotAction" in statement):
        raise PolicyError(f"{where} needs either Action or NotAction")
    if "Resource" in statement and "NotResource" in statement:
        raise PolicyError(f"{where} has both Resource and NotResource")
    if not {"Resource", "NotResource", "Principal"} & set(statement):
        raise PolicyError(f"{where} needs Resource or NotResource")
    for element in ("Action", "NotAction", "Resource", "NotResource"):
        if element in statement and not all(isinstance(value, str) and value for value in as_list(statement[element])):
            raise PolicyError(f"{where}: {element} must hold texts")
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(keys, dict) for keys in condition.values()):
        raise PolicyError(f"{where}: Condition must be {{operator: {{key: value}}}}")
    for operator in condition:
        parse_operator(operator)


def evaluate(documents: Iterable[str], question: Question, *, by_principal: bool = False) -> Effect:
    """The verdict of several documents together: an explicit deny wins, then an allow.

    `by_principal` is for resource and trust policies, whose statements name who they are for. PolicyError if any can't be read.
    """
    verdict = Effect.NONE
    for statement in [statement for document in documents for statement in parse(document)]:
        if not _applies(statement, question, by_principal):
            continue
        if statement["Effect"] == "Deny":
            return Effect.DENY
        verdict = Effect.ALLOW
    return verdict


def _applies(statement: Mapping[str, Any], question: Question, by_principal: bool) -> bool:
    if by_principal and not _principal_matches(statement.get("Principal"), question.principals):
        return False
    return _action_matches(statement, question) and _resource_matches(statement, question) and _condition_holds(statement, question)


def _action_matches(statement: Mapping[str, Any], question: Question) -> bool:
    patterns = as_list(statement.get("Action", statement.get("NotAction")))
    found = any(glob_match(pattern, question.action, ignore_case=True) for pattern in patterns)
    return found == ("Action" in statement)


def _resource_matches(statement: Mapping[str, Any], question: Question) -> bool:
    if "NotResource" in statement:
        return not any(resource_matches(pattern, question.resource, question.context) for pattern in as_list(statement["NotResource"]))
    # A trust policy has no Resource: it is about the role that carries it.
    patterns = as_list(statement.get("Resource", "*"))
    return any(resource_matches(pattern, question.resource, question.context) for pattern in patterns)


def _condition_holds(statement: Mapping[str, Any], question: Question) -> bool:
    return holds(statement.get("Condition", {}), question.context)


def _principal_matches(principal: Any, principals: frozenset[str]) -> bool:
    if principal is None:
        return False
    if principal == "*":
        return True
    if not isinstance(principal, dict):
        raise PolicyError(f"Principal {principal!r}: use '*' or an object")
    for kind, values in principal.items():
        if kind not in ("AWS", "Service", "Federated"):
            raise PolicyError(f"Principal kind {kind!r} is not known; known are AWS, Service, Federated")
        if any(value in principals or (value == "*" and kind == "AWS") for value in as_list(values)):
            return True
    return False
