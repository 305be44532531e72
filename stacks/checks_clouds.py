"""Settings that the chosen cloud or platform can't honour, and what its provider must be told. Pure, from `capabilities.py`."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from components import limits
from components.capabilities import CLOUD_CONFIG, CLOUD_SETTINGS, PLATFORM_SETTINGS
from components.platform_facts import PLATFORM_FACTS
from stacks.messages import Problem, shown, told
from stacks.settings_service import Settings

_EXAMPLES = {"gcp:project": "my-project", "gcp:region": "europe-west1"}


def cloud_problems(settings: Settings, place: Mapping[str, str | None] | None) -> Iterator[Problem]:
    """Every problem; parts that could not be read are passed over."""
    cloud = settings.cloud
    platform = None if settings.endpoint is None else settings.endpoint.platform
    for cloud_row in CLOUD_SETTINGS if cloud in CLOUD_CONFIG else ():
        value = given(settings, cloud_row.setting)
        if value is not None and cloud not in cloud_row.clouds and cloud_row.value in (None, value):
            row = cloud_row
            yield told(f"{row.setting}: {shown(value)}: not in cloud {cloud!r}: {row.instead} ({row.source})", row.setting)
    for platform_row in PLATFORM_SETTINGS if platform in PLATFORM_FACTS else ():
        for key, value in _asked(settings, platform_row.setting):
            if platform not in platform_row.platforms and platform_row.value in (None, value):
                yield told(f"{key}: {shown(value)}: not on {platform!r}: {platform_row.instead} ({platform_row.source})", key)
    yield from _place(settings, place)


def _asked(settings: Settings, setting: str) -> list[tuple[str, Any]]:
    """The keys, with their values, that ask for what a row of the platforms' table is about."""
    part, _, kind = setting.partition(".")
    if part == "warming":
        return [(f"warming.{position}", kind) for position, rule in enumerate(settings.warming or ()) if rule.kind == kind]
    value = given(settings, setting)
    # A switch that is off asks for nothing.
    return [] if value is None or value is False else [(setting, value)]


def _place(settings: Settings, place: Mapping[str, str | None] | None) -> Iterator[Problem]:
    """What the provider of the cloud must know, and a gateway's region."""
    if place is None:
        return
    for key in CLOUD_CONFIG.get(settings.cloud, ()):
        if not place.get(key):
            yield told(f"{key}: missing beside pilotlight:service: use `{key}: {_EXAMPLES[key]}`, say", key)
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
