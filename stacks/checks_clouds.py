"""Settings that the chosen cloud or platform can't honour, and what its provider must be told. Pure, from `capabilities.py`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from components import limits
from components.capabilities import (
    CLOUD_CONFIG,
    CLOUD_NEEDS,
    CLOUD_SETTINGS,
    PLACES,
    PLATFORM_SETTINGS,
    UNSUPPORTED_SETTINGS,
    OfCloud,
    OfPlatform,
    Unsupported,
)
from stacks.messages import Problem, keys_of, shown, told
from stacks.settings_service import Settings

_EXAMPLES = {
    "gcp:project": "my-project",
    "gcp:region": "europe-west1",
    "azure-native:location": "westeurope",
    "azure-native:subscriptionId": "00000000-0000-0000-0000-000000000001",
}
# The shape of what a cloud calls a region or a project; which of them there are is the provider's to say.
_WORD = re.compile(r"[a-z][a-z0-9-]*")
_SHAPES = {
    "aws:region": (_WORD, "a region's name, us-east-1, say"),
    "gcp:region": (_WORD, "a region's name, europe-west1, say"),
    "gcp:project": (re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]*"), "the project's id, not its number or its name"),
    "azure-native:location": (re.compile(r"[A-Za-z][A-Za-z0-9 ]*"), "a region's name, westeurope, say"),
}
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def cloud_problems(settings: Settings, place: Mapping[str, str | None] | None) -> Iterator[Problem]:
    """Every problem; parts that could not be read are passed over."""
    cloud = settings.cloud
    platform = None if settings.endpoint is None else settings.endpoint.platform
    yield from _refused(settings, cloud, CLOUD_SETTINGS, f"in cloud {cloud!r}")
    yield from _refused(settings, platform, PLATFORM_SETTINGS, f"on {platform!r}")
    for row in _unsupported(settings):
        for key, value in _asked(settings, row.setting):
            yield told(f"{key}: {shown(value)}: not in cloud {cloud!r} yet: {row.instead} ({row.source})", key)
    yield from _needed(settings)
    yield from _place(settings, place)


def _refused(settings: Settings, where: str | None, rows: Sequence[OfCloud | OfPlatform], words: str) -> Iterator[Problem]:
    for row in rows:
        for key, value in _asked(settings, row.setting) if where in row.without else ():
            if row.value in (None, value):
                yield told(f"{key}: {shown(value)}: not {words}: {row.instead} ({row.source})", key)


def _needed(settings: Settings) -> Iterator[Problem]:
    for row in CLOUD_NEEDS:
        if settings.cloud == row.cloud and settings.pattern == "api" and read(settings, row.setting) is None:
            yield told(
                f"{row.setting}: missing in cloud {row.cloud!r}: {keys_of(type(settings), row.setting)}: {row.instead} ({row.source})"
            )


def _unsupported(settings: Settings) -> list[Unsupported]:
    """What no stack of this cloud has: one row of each setting, by the authentication mode where that is known."""
    mode = None if settings.auth is None else settings.auth.mode
    rows = [row for row in UNSUPPORTED_SETTINGS if row.cloud == settings.cloud and (mode is None or not row.modes or mode in row.modes)]
    return list({row.setting: row for row in rows}.values())


def _asked(settings: Settings, setting: str) -> list[tuple[str, Any]]:
    """The keys, with their values, that ask for what a row of the platforms' table is about."""
    part, _, kind = setting.partition(".")
    if part == "warming":
        return [(f"warming.{position}", kind) for position, rule in enumerate(settings.warming or ()) if rule.kind == kind]
    value = given(settings, setting)
    # A switch that is off asks for nothing, nor does an empty list.
    return [] if value is None or value is False or value == [] else [(setting, value)]


def _place(settings: Settings, place: Mapping[str, str | None] | None) -> Iterator[Problem]:
    """What the provider of the cloud must know, and a gateway's region."""
    if place is None:
        return
    for key in CLOUD_CONFIG.get(settings.cloud, ()):
        if not place.get(key):
            yield told(f"{key}: missing beside pilotlight:service: use `{key}: {_EXAMPLES[key]}`, say", key)
    for key in sorted({PLACES.get(settings.cloud, ""), *CLOUD_CONFIG.get(settings.cloud, ())} & _SHAPES.keys()):
        shape, words = _SHAPES[key]
        value = place.get(key)
        # What is empty where it is needed is told above.
        if value is not None and not shape.fullmatch(value) and (value or key not in CLOUD_CONFIG[settings.cloud]):
            yield told(f"{key}: {shown(value)}: use {words}", key)
    subscription = place.get("azure-native:subscriptionId")
    if settings.cloud == "azure" and subscription and _ID.fullmatch(subscription) is None:
        yield told(f"azure-native:subscriptionId: {shown(subscription)}: use a subscription's id, `az account show --query id`")
    region = place.get("gcp:region")
    regions = limits.API_GATEWAY_REGIONS
    problem = None if not region or settings.cloud != "gcp" or settings.pattern != "api" else regions.problem(region)
    if problem is not None:
        yield told(f"gcp:region: {shown(region)}: API Gateway is not there: {problem} ({regions.source})", "gcp:region")


def read(settings: Settings, setting: str) -> Any:
    """The value of a dotted setting, None where it or a part above it is absent."""
    value: Any = settings
    for step in setting.split("."):
        value = None if value is None else getattr(value, _field(value, step))
    return value


def given(settings: Settings, setting: str) -> Any:
    """The value of a dotted setting where the config says it; a default is None."""
    value: Any = settings
    for step in setting.split("."):
        name = None if value is None else _field(value, step)
        value = None if name is None or name not in value.model_fields_set else getattr(value, name)
    return value


def _field(part: BaseModel, step: str) -> str:
    """A key of the YAML as its field is called: `async` is a word of Python's."""
    name = to_snake(step)
    return name if name in type(part).model_fields else f"{name}_"
