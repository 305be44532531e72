"""What a program configured its provider with, read as each provider reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.twin.rows import Properties
from pilotlight.twin.values import UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`default_tags` go on every resource that takes tags; `defaults`: input -> value where a resource leaves it out.

    `context` is what hooks and functions see of the configuration beside their inputs; it is recorded in no resource.
    """

    region: str | None = None
    default_tags: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def filled(self) -> Mapping[str, str]:
        """Every input that has a default, the region too."""
        return {**self.defaults, "region": self.region} if self.region else self.defaults


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """How a provider reads its configuration.

    settings    configuration -> Settings
    completed   (configuration, the engine's environment) -> configuration with what the environment adds
    problems    configuration -> sentences about what is missing
    """

    settings: Callable[[Properties], Settings] = lambda config: Settings()
    completed: Callable[[Properties, Mapping[str, str]], Properties] = lambda config, environment: config
    problems: Callable[[Properties], list[str]] = lambda config: []


def decoded(value: Any) -> Any:
    """A configured value that is no text: the engine sends such a one as its JSON."""
    return json.loads(value) if isinstance(value, str) and value != UNKNOWN else value


def _aws(config: Properties) -> Settings:
    tags = decoded(config.get("defaultTags"))
    return Settings(region=config.get("region"), default_tags=(tags or {}).get("tags") or {} if isinstance(tags, Mapping) else {})


def _aws_problems(config: Properties) -> list[str]:
    if config.get("region"):
        return []
    return ["region: is missing: set it with `pulumi config set aws:region us-east-1`, or in the environment as AWS_REGION."]


AWS = Configuration(settings=_aws, problems=_aws_problems)
