"""Expressions of a policy as they are once they were understood: of a type, with a value for every context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.twin.azure.apim_expression_members import Member, text_of

_NULL = "Object reference not set to an instance of an object."
_OF_TYPE: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "jwt": lambda value: hasattr(value, "claims"),
}


class EvaluationError(Exception):
    """What .NET would have thrown while the expression was evaluated."""


class Absent(Exception):
    """`?.` met null: the rest of the chain is left out, and null is what comes of it."""


@dataclass(frozen=True)
class Expression:
    """`value` of a context; of the type that C# knows it by."""

    type: str
    value: Callable[[Any], Any]


def constant(type_: str, value: Any) -> Expression:
    """What has the same value in every context."""
    return Expression(type_, lambda context: value)


def known(table: Any, type_: str, name: str, kind: str) -> Member:
    """A member of a type. ValueError tells those that there are."""
    members: Any = table.get(type_, {})
    if name not in members:
        known = ", ".join(sorted(members)) or "none"
        raise ValueError(f"{type_} has no {kind} {name!r} that the local twin understands: it knows {known}")
    found: Member = members[name]
    return found


def read(owner: Expression, member: Member, *, optional: bool) -> Expression:
    """A member's value."""
    return Expression(member.type, lambda context: member.get(owner_of(owner, context, optional)))


def owner_of(owner: Expression, context: Any, optional: bool) -> Any:
    """Whose member is asked for. Absent for null before `?.`; TypeError for null before a dot."""
    value = owner.value(context)
    if value is None and optional:
        raise Absent
    return present(value)


def present(value: Any) -> Any:
    """TypeError for null."""
    if value is None:
        raise TypeError(_NULL)
    return value


def require(found: Expression, wanted: str, where: str) -> None:
    """ValueError for an expression of another type."""
    if found.type not in (wanted, "null" if wanted == "string" else wanted):
        raise ValueError(f"a {wanted} is wanted {where}, and this is a {found.type}")


def common(one: Expression, other: Expression) -> str:
    """The type of what is one or the other. ValueError where they differ."""
    types = {one.type, other.type} - {"null"}
    if len(types) > 1:
        raise ValueError(f"the two outcomes are of different types: {one.type} and {other.type}")
    return types.pop() if types else "null"


def added(one: Expression, other: Expression) -> Expression:
    """A sum, or two texts one after the other. ValueError for what can't be added."""
    if one.type == other.type == "int":
        return Expression("int", lambda context: one.value(context) + other.value(context))
    if "string" not in (one.type, other.type):
        raise ValueError(f"{one.type} and {other.type} are not added")
    return Expression("string", lambda context: text_of(one.value(context)) + text_of(other.value(context)))


def cast(inner: Expression, wanted: str) -> Expression:
    """A value of which only the program knows the type. ValueError for one of another type."""
    if inner.type not in ("object", wanted):
        raise ValueError(f"a {inner.type} is not cast to {wanted}")

    def value(context: Any) -> Any:
        found = inner.value(context)
        if found is not None and not _OF_TYPE[wanted](found):
            raise TypeError("Unable to cast object to the type that the expression asks for.")
        return found

    return Expression(wanted, value)
