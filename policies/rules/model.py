"""What a rule is, and the conditions that most rules are made of."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .reading import Graph, Resource, Unread, shown

Severity = Literal["low", "medium", "high", "critical"]
Level = Literal["advisory", "mandatory", "remediate", "disabled"]
Group = Literal["security", "delivery", "cold-start", "cost", "operations"]


@dataclass(frozen=True)
class Context:
    """What a rule knows beside the resource: its parameters, and the graph where it is a rule of the stack."""

    config: Mapping[str, Any]
    graph: Graph = field(default_factory=lambda: Graph(()))


Judge = Callable[[Resource, Context], Iterator[str]]


@dataclass(frozen=True)
class Check:
    """How resources of some types are judged: `judge` yields a message for everything that is wrong with one."""

    types: tuple[str, ...]
    judge: Judge


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One idea.

    id          its name in messages and configuration
    idea        what must hold, one sentence
    fix         what to do where it does not, in general; each message names the value
    answers     ids of public checks with the same idea (`CKV_`, `AZR-`, and names of their catalogues)
    framework   catalogue and control of a published framework, where one has it
    moot        public id → why it does not apply although its idea is near
    parameters  JSON schema of each parameter, with its default
    stack       whether it needs to see the whole stack
    level       what a violation does unless configured
    mend        type → top-level property → value that `remediate` writes; only where that breaks no caller
    """

    id: str
    group: Group
    severity: Severity
    idea: str
    fix: str
    checks: tuple[Check, ...]
    answers: tuple[str, ...] = ()
    framework: tuple[str, str] | None = None
    moot: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stack: bool = False
    level: Level = "mandatory"
    mend: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def types(self) -> frozenset[str]:
        """Every type that it judges."""
        return frozenset(type_ for check in self.checks for type_ in check.types)

    def configured(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Its parameters, with defaults where nothing is given."""
        return {name: schema["default"] for name, schema in self.parameters.items()} | dict(given)


Condition = Callable[[Resource], str | None]


def wanted(types: str | tuple[str, ...], *conditions: Condition) -> tuple[Check, ...]:
    """Checks that properties of a type fulfil conditions, each for itself: what one can't read does not hide another."""
    return tuple(Check((types,) if isinstance(types, str) else types, _judge(each)) for each in conditions)


def _judge(condition: Condition) -> Judge:
    return lambda resource, _: (told for told in [condition(resource)] if told is not None)


def equal(path: str, value: Any) -> Condition:
    """The property is exactly that value."""
    return one_of(path, (value,))


def one_of(path: str, values: Sequence[Any]) -> Condition:
    """The property is one of the values; the first is what the message advises."""

    def told(resource: Resource) -> str | None:
        came = resource.at(path)
        held = any(came == value and isinstance(came, bool) == isinstance(value, bool) for value in values)
        return None if held else f"{path} is {shown(came)}: set it to {shown(values[0])}."

    return told


def is_policy_of(policy: Resource, what: Resource, key: str, context: Context) -> bool:
    """Whether a policy of API Management is of an API or a product, which both name by `key`. What came out of Azure names none: there a
    policy's own address is below the address of what it is of. Raises Unread where neither is told, as before the first `up`."""
    if taken := context.graph.behind(policy, key, what.type):
        return taken is what
    names = policy.at(key), what.at(key) or what.at("name")
    if None not in names:
        return bool(names[0] == names[1])
    for each in (policy, what):
        if each.at("id") is None:
            raise Unread(f"{policy.name}: {key} is not known before it is made; `pulumi policy analyze` judges the state after `up`")
    return str(policy.at("id")).lower().startswith(f"{what.at('id')}/policies/".lower())


def inbound_of(policy: Resource) -> str:
    """What a policy of API Management does with a request before it goes on: nothing else turns a caller away."""
    return " ".join(re.findall("<inbound>(.*?)</inbound>", without_comments(policy), flags=re.DOTALL))


def without_comments(policy: Resource) -> str:
    """A policy of API Management."""
    return re.sub("<!--.*?-->", "", str(policy.at("value", "")), flags=re.DOTALL)


def present(path: str, advice: str) -> Condition:
    """The property is given and not empty."""

    def told(resource: Resource) -> str | None:
        return None if resource.at(path) not in (None, "", [], {}) else f"{path} is missing: {advice}"

    return told


def between(path: str, low: float, high: float, unit: str = "") -> Condition:
    """The property is a number of the range."""

    def told(resource: Resource) -> str | None:
        came = resource.at(path)
        if isinstance(came, int | float) and low <= came <= high:
            return None
        return f"{path} is {shown(came)}: set it to {low} to {high}{' ' + unit if unit else ''}."

    return told
