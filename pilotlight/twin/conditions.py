"""Condition blocks of IAM policies: the operators, set operators, `IfExists`, and policy variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

Context = Mapping[str, str | list[str]]
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERAL = {"*": "*", "?": "?", "$": "$"}


class PolicyError(ValueError):
    """A policy that can't be evaluated: malformed, or with something that this evaluator does not know. It never grants."""


@lru_cache(maxsize=4096)
def _glob(pattern: str, flags: int) -> re.Pattern[str]:
    parts = re.split(r"([*?])", pattern)
    return re.compile("".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts), flags | re.DOTALL)


def glob_match(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """IAM's wildcards: `*` any run of characters, `?` one character, everything else itself."""
    return _glob(pattern, re.IGNORECASE if ignore_case else 0).fullmatch(value) is not None


def substitute(text: str, context: Context, *, escape: Callable[[str], str] = str) -> str | None:
    """`text` with its policy variables replaced, or None where one has no single value in the context."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name, _, default = match[1].partition(",")
        if name.strip() in _LITERAL:
            return escape(_LITERAL[name.strip()])
        found = lookup(context, name.strip())
        if isinstance(found, str):
            return escape(found)
        if default.strip():
            return escape(default.strip().strip("'"))
        missing = True
        return ""

    result = _VARIABLE.sub(value, text)
    return None if missing else result


def lookup(context: Context, key: str) -> str | list[str] | None:
    """The value of a condition key; key names do not care about case."""
    if key in context:
        return context[key]
    lowered = key.lower()
    return next((value for name, value in context.items() if name.lower() == lowered), None)


def _number(test: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda wanted, found: test(float(found), float(wanted))


def _instant(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _date(test: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda wanted, found: test(_instant(found), _instant(wanted))


def _arn_like(wanted: str, found: str) -> bool:
    # Each of the six parts of an ARN is matched on its own: a wildcard does not reach over a colon, but in the last part.
    patterns, parts = wanted.split(":", 5), found.split(":", 5)
    return len(patterns) == len(parts) and all(glob_match(p, v) for p, v in zip(patterns, parts, strict=True))


def _in_network(wanted: str, found: str) -> bool:
    return ip_address(found) in ip_network(wanted, strict=False)


# operator -> does (wanted, found) match. Negated ones are derived below.
_POSITIVE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, found: wanted == found,
    "StringEqualsIgnoreCase": lambda wanted, found: wanted.lower() == found.lower(),
    "StringLike": glob_match,
    "NumericEquals": _number(lambda found, wanted: found == wanted),
    "NumericLessThan": _number(lambda found, wanted: found < wanted),
    "NumericLessThanEquals": _number(lambda found, wanted: found <= wanted),
    "NumericGreaterThan": _number(lambda found, wanted: found > wanted),
    "NumericGreaterThanEquals": _number(lambda found, wanted: found >= wanted),
    "DateEquals": _date(lambda found, wanted: found == wanted),
    "DateLessThan": _date(lambda found, wanted: found < wanted),
    "DateLessThanEquals": _date(lambda found, wanted: found <= wanted),
    "DateGreaterThan": _date(lambda found, wanted: found > wanted),
    "DateGreaterThanEquals": _date(lambda found, wanted: found >= wanted),
    "Bool": lambda wanted, found: wanted.lower() == found.lower(),
    "BinaryEquals": lambda wanted, found: wanted == found,
    "IpAddress": _in_network,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
_GLOBBING = {"StringLike", "ArnLike", "ArnEquals"}
OPERATORS = frozenset(_POSITIVE) | frozenset(_NEGATED) | {"Null"}


def as_list(value: Any) -> list[Any]:
    """IAM lets a single value stand for a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value]


def parse_operator(name: str) -> tuple[str, str, bool]:
    """(set operator or "", operator, if-exists) of a condition operator; PolicyError for one that is not known."""
    set_operator, _, rest = name.rpartition(":")
    operator = rest.removesuffix("IfExists")
    if set_operator not in ("", "ForAllValues", "ForAnyValue") or operator not in OPERATORS:
        raise PolicyError(f"condition operator {name!r} is not known; known are {', '.join(sorted(OPERATORS))}")
    return set_operator, operator, rest.endswith("IfExists")


def holds(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether every operator and key of a condition block is met."""
    return all(
        _one(name, [_text(value) for value in as_list(values)], lookup(context, key), context)
        for name, keys in conditions.items()
        for key, values in keys.items()
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one(name: str, wanted: list[str], found: str | list[str] | None, context: Context) -> bool:
    set_operator, operator, if_exists = parse_operator(name)
    if operator == "Null":
        return any((found is None) == (value.lower() == "true") for value in wanted)
    present = [] if found is None else as_list(found)
    if found is None and (if_exists or operator in _NEGATED):
        return set_operator != "ForAnyValue"
    negated = operator in _NEGATED
    positive = _NEGATED.get(operator, operator)

    def matches(value: str) -> bool:
        return any(_compare(positive, pattern, value, context) for pattern in wanted) != negated

    if set_operator == "ForAllValues":
        return all(matches(value) for value in present)
    if negated and not set_operator:
        return all(matches(value) for value in present)
    return any(matches(value) for value in present)


def _compare(operator: str, pattern: str, value: str, context: Context) -> bool:
    # A variable's value is data: wildcards in it must not act, so each is wrapped in a form that only matches itself.
    if operator in _GLOBBING and "${" in pattern:
        return _compare_with_variables(operator, pattern, value, context)
    wanted = substitute(pattern, context)
    if wanted is None:
        return False
    try:
        return _POSITIVE[operator](wanted, value)
    except ValueError:
        return False


def _compare_with_variables(operator: str, pattern: str, value: str, context: Context) -> bool:
    marks = {"*": "\ue000", "?": "\ue001"}
    wanted = substitute(pattern, context, escape=lambda text: "".join(marks.get(character, character) for character in text))
    hidden = "".join(marks.get(character, character) for character in value)
    if wanted is None:
        return False
    # Hiding them on both sides keeps them comparable; a wildcard of the pattern still spans the hidden characters.
    return _POSITIVE[operator](wanted, hidden)


def resource_matches(pattern: str, resource: str, context: Context) -> bool:
    """A `Resource` element against one ARN, policy variables replaced."""
    return _compare("StringLike", pattern, resource, context)
