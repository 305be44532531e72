"""What Azure's resources may be called, and what the provider calls those that the program gives no name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pilotlight.twin.azure import arm, types
from pilotlight.twin.naming import UUID
from pilotlight.twin.rows import Name, Properties

# Microsoft's "Naming rules and restrictions for Azure resources" (read 2026-11), where no other source is given.
_ALNUM = "[A-Za-z0-9]"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`text` completes "'X' is not allowed: use …"; `unique`: no two subscriptions of the world have one name."""

    low: int
    high: int
    pattern: str
    text: str
    unique: bool = False

    def problems(self, field: str, value: object) -> list[str]:
        if not isinstance(value, str) or (self.low <= len(value) <= self.high and re.fullmatch(self.pattern, value)):
            return []
        return [f"{field}: {value!r} is not allowed: use {self.low} to {self.high} {self.text}."]


_WORDS = "letters, digits and hyphens that begin with a letter and end with a letter or digit"
_HYPHENS = "letters, digits and hyphens, no hyphen at an end"
_API_MANAGEMENT = Rule(low=1, high=80, pattern=rf"[A-Za-z](?:[A-Za-z0-9-]*{_ALNUM})?", text=_WORDS)
_DNS = r"[a-z0-9](?:-?[a-z0-9])*"
_DNS_TEXT = "lower-case letters, digits and single hyphens that begin and end with a letter or digit"
_NETWORK = rf"{_ALNUM}(?:[\w.-]*\w)?"
_NETWORK_TEXT = "letters, digits and any of _ . -, a letter or digit first, a letter, digit or _ last"
_GUID = Rule(low=36, high=36, pattern=r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text="characters of a GUID")
RULES: Mapping[str, Rule] = {
    types.GROUP: Rule(
        low=1,
        high=90,
        pattern=r"[\w.()-]*[\w()-]",
        text="letters, digits and any of _ - . ( ), no period at the end",
    ),
    types.API_MANAGEMENT: Rule(low=1, high=50, pattern=_API_MANAGEMENT.pattern, text=_WORDS, unique=True),
    **dict.fromkeys((types.API, types.API_OPERATION, types.API_PRODUCT, types.API_SUBSCRIPTION), _API_MANAGEMENT),
    **dict.fromkeys(
        (types.APP, types.JOB),
        Rule(
            low=2,
            high=32,
            # The double hyphen stands between an app's name and its revision's (Container Apps documentation, "Revisions").
            pattern=r"[a-z](?:-?[a-z0-9])*",
            text="lower-case letters, digits and single hyphens that begin with a letter and end with a letter or digit",
        ),
    ),
    types.ENVIRONMENT: Rule(low=2, high=60, pattern=rf"{_ALNUM}(?:[A-Za-z0-9-]*{_ALNUM})?", text=_HYPHENS),
    types.COMPONENT: Rule(
        low=1,
        high=260,
        pattern=r"[^%&\\?/\x00-\x1f]*[^%&\\?/\x00-\x1f. ]",
        text=r"characters without % & \ ? /, no space and no period at the end",
    ),
    types.COSMOS_ACCOUNT: Rule(
        low=3,
        high=44,
        pattern=r"[a-z0-9][a-z0-9-]*",
        text="lower-case letters, digits and hyphens, a letter or digit first",
        unique=True,
    ),
    types.SYSTEM_TOPIC: Rule(low=3, high=128, pattern=r"[A-Za-z0-9-]+", text="letters, digits and hyphens"),
    types.EVENT_SUBSCRIPTION: Rule(low=3, high=64, pattern=r"[A-Za-z0-9-]+", text="letters, digits and hyphens"),
    types.REGISTRY: Rule(low=5, high=50, pattern=rf"{_ALNUM}+", text="letters and digits", unique=True),
    types.IDENTITY: Rule(
        low=3, high=128, pattern=rf"{_ALNUM}[\w-]*", text="letters, digits, hyphens and underscores, a letter or digit first"
    ),
    types.VIRTUAL_NETWORK: Rule(low=2, high=64, pattern=_NETWORK, text=_NETWORK_TEXT),
    types.SUBNET: Rule(low=1, high=80, pattern=_NETWORK, text=_NETWORK_TEXT),
    types.WORKSPACE: Rule(low=4, high=63, pattern=rf"{_ALNUM}(?:[A-Za-z0-9-]*{_ALNUM})?", text=_HYPHENS),
    types.STORAGE_ACCOUNT: Rule(low=3, high=24, pattern=r"[a-z0-9]+", text="lower-case letters and digits", unique=True),
    types.CONTAINER: Rule(low=3, high=63, pattern=rf"{_DNS}|\$(?:root|web)", text=_DNS_TEXT),
    types.QUEUE: Rule(low=3, high=63, pattern=_DNS, text=_DNS_TEXT),
    types.TABLE: Rule(low=3, high=63, pattern=r"[A-Za-z][A-Za-z0-9]*", text="letters and digits that begin with a letter"),
    **dict.fromkeys(
        (types.ACTION_GROUP, types.LOG_ALERT, types.METRIC_ALERT),
        Rule(
            low=1,
            high=260,
            pattern=r"[^*#&+:<>?@%{}\\/|]*[^*#&+:<>?@%{}\\/|. ]",
            text="characters without * # & + : < > ? @ % { } \\ / |, no space and no period at the end",
        ),
    ),
    # Consumption API, Budgets: `budgetName`; the longest is that of a scope in a subscription (Cost Management documentation, budgets).
    types.BUDGET: Rule(low=1, high=63, pattern=r"[\w-]+", text="letters, digits, hyphens and underscores"),
    **dict.fromkeys((types.COSMOS_ASSIGNMENT, types.COSMOS_ROLE, types.ROLE_ASSIGNMENT, types.ROLE_DEFINITION, types.WORKBOOK), _GUID),
}
# Names that the provider does not make of the resource's own: the program must give one, or the row does.
_NEVER = frozenset({types.API_PRODUCT_API, types.ROLE_ASSIGNMENT})
# Azure's own limit where no rule tells another (Resource Manager documentation, "Azure subscription and service limits").
_LONGEST = 260
# The provider's digits after the name where the path has one after its last namespace; other names are copies of the resource's own.
_DIGITS = 8


def field_of(token: str) -> str:
    """The input that holds the name."""
    return arm.parameters(token)[-1]


def name_of(token: str) -> Name | None:
    """How the provider names a resource of that type that has none; None where it does not."""
    if token in _NEVER:
        return None
    rule = RULES.get(token)
    _, told, below = arm.PATHS[token].rpartition("Microsoft.")
    single = token == types.GROUP or (bool(told) and below.count("{") == 1)
    return Name(
        field=field_of(token),
        max_length=rule.high if rule else _LONGEST,
        pattern=rule.pattern if rule else None,
        joint="",
        digits=UUID if token == types.ROLE_ASSIGNMENT else _DIGITS if single else 0,
    )


def problems(token: str, inputs: Properties) -> list[str]:
    """What is wrong with the name that a resource has been given."""
    rule = RULES.get(token)
    return rule.problems(field_of(token), inputs.get(field_of(token))) if rule else []
