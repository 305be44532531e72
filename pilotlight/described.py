"""What each setting is and takes, from the models that check them: what is allowed is what a wrong value is told. For the pages' tables
and for the stack files that `pilotlight init` writes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pulumi
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.capabilities import CLOUD_SETTINGS, PATTERN_SETTINGS, PLATFORM_SETTINGS, UNSUPPORTED_SETTINGS
from components.platform_facts import PLATFORM_FACTS
from pilotlight.planned import changed
from stacks.settings import parse
from stacks.settings_service import Settings
from stacks.settings_warming import PingRule, ProvisionedRule, ScheduledRule
from stacks.words import SETTINGS

# Optional parts as they must be given for one of their settings to be tried out.
_WINDOW = {"cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI"}
RULES: Mapping[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "ping": (PingRule, {"kind": "ping", "everyMinutes": 5}),
    "scheduled": (ScheduledRule, {"kind": "scheduled", **_WINDOW}),
    "provisioned": (ProvisionedRule, {"kind": "provisioned"}),
}
OPTIONAL: Mapping[str, Any] = {
    "answers": {"async": True},
    "budget": {"monthlyUsd": 100, "email": "ops@example.com"},
    "events": {},
}
TOO_MUCH, TOO_LITTLE = 10**15, -1


@dataclass(frozen=True)
class Row:
    key: str
    words: str
    allowed: str
    default: str
    here: str


def rows_of(raw: Mapping[str, Any]) -> list[Row]:
    """Every setting that the pattern and the platform of these settings have; they must be right."""
    platform = raw["endpoint"]["platform"]
    foreign = {each.setting for each in PATTERN_SETTINGS if each.pattern != raw["pattern"]}
    foreign |= {each.setting for each in CLOUD_SETTINGS if raw["cloud"] in each.without and each.value is None}
    foreign |= {each.setting for each in UNSUPPORTED_SETTINGS if each.cloud == raw["cloud"]}
    # Of a part that hangs on one switch, nothing is left without it.
    foreign |= {each.setting.removesuffix(".async") for each in PLATFORM_SETTINGS if platform in each.without and each.value is None}
    if not PLATFORM_FACTS[platform].separate_function:
        foreign.add("function")
    found = []
    for key, field, part in leaves(Settings):
        if not any(key == each or key.replace("[", ".").startswith((f"{each}.", f"{each}]")) for each in foreign):
            found.append(Row(key, SETTINGS[key], _allowed(raw, key, field), _default(field, part), _here(raw, key)))
    return found


def leaves(model: type[BaseModel], above: str = "", within: str = "") -> Iterator[tuple[str, FieldInfo, str]]:
    """Dotted key and field of everything that holds a value, and the optional part that it lies in.

    Rules of the warming plan are `warming[kind].key`.
    """
    for name, field in model.model_fields.items():
        key = above + (field.alias or name)
        part = next((each for each in _parts(field.annotation) if isinstance(each, type) and issubclass(each, BaseModel)), None)
        if key == "warming":
            for kind, (rule, _) in RULES.items():
                found = leaves(rule, f"warming[{kind}].", f"a `{kind}` rule")
                yield from (leaf for leaf in found if not leaf[0].endswith(".kind"))
        elif part is not None:
            optional = type(None) in get_args(field.annotation)
            yield from leaves(part, f"{key}.", f"`{key}`" if optional else within)
        else:
            yield key, field, within


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The members of a union without None, else the annotation alone."""
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return tuple(each for each in members if each is not type(None))


def _allowed(raw: Mapping[str, Any], key: str, field: FieldInfo) -> str:
    kind, *others = _parts(field.annotation)
    assert set(others) <= {float}  # beside int: any number
    if get_origin(kind) is list:
        return _told(field) or f"list of {_items(get_args(kind)[0])}"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(kind) if not _refused(raw, key, each))
    if kind is bool:
        return "`true`, `false`"
    if kind in (int, float):
        nullable = type(None) in get_args(field.annotation)
        return (probed(raw, key) or _told(field) or _bounds(field.metadata)) + (", or `null`" if nullable else "")
    return _told(field) or ("texts by name" if get_origin(kind) is dict else "text")


def _refused(raw: Mapping[str, Any], key: str, value: str) -> bool:
    """Whether a value is there for other clouds or platforms only."""
    clouds = [row.without for row in CLOUD_SETTINGS if (row.setting, row.value) == (key, value)]
    platforms = [row.without for row in PLATFORM_SETTINGS if (row.setting, row.value) == (key, value)]
    return any(raw["cloud"] in each for each in clouds) or any(raw["endpoint"]["platform"] in each for each in platforms)


def _items(inner: Any) -> str:
    if get_origin(inner) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(inner))
    kind, *annotations = get_args(inner) or (inner,)
    if kind is not float:
        return "texts"
    return f"numbers {_bounds([each for annotation in annotations for each in getattr(annotation, 'metadata', [])])}"


def _bounds(metadata: list[Any]) -> str:
    """Bounds that a model states itself."""
    words = {"gt": "above {}", "ge": "{} or more", "le": "up to {:,}"}
    return ", ".join(words[name].format(value) for each in metadata for name, value in vars_of(each).items() if name in words)


def vars_of(bound: Any) -> dict[str, Any]:
    return {name: getattr(bound, name) for name in ("gt", "ge", "le") if hasattr(bound, name)}


def _told(field: FieldInfo) -> str:
    return (field.description or "").removeprefix("use ").replace("<", "\\<")


def probed(raw: Mapping[str, Any], key: str) -> str:
    """What the program answers to a number that can't be right: what is allowed, and the page that says so."""
    for wrong in (TOO_MUCH, TOO_LITTLE):
        asked = re.sub(r"\[\w+\]", ".0", key)
        try:
            parse(with_setting(raw, key, wrong), "docs")
        except pulumi.RunError as error:
            for line in str(error).split("\n  ")[1:]:
                if line.startswith(f"{asked}: ") and ": use " in line:
                    return line.partition(": use ")[2]
    return ""


def with_setting(raw: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The settings with one changed, and with the optional parts that it needs."""
    part, _, rest = key.partition(".")
    if rule := re.fullmatch(r"warming\[(\w+)\]", part):
        return changed(raw, {"warming": [{**RULES[rule[1]][1], rest: value}]})
    needed = {part: OPTIONAL[part]} if part in OPTIONAL and part not in raw else {}
    return changed(changed(raw, needed), {key: value})


def _default(field: FieldInfo, part: str) -> str:
    if field.is_required():
        return f"required in {part}" if part else "required"
    value = field.get_default(call_default_factory=True)
    return "-" if value in ([], {}) else f"`{_yaml(value)}`"


def _here(raw: Mapping[str, Any], key: str) -> str:
    """What the ready stack writes; empty where it leaves the default."""
    value: Any = raw
    for step in key.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "" if value is None else f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value).replace("'", "")
