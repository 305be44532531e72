"""The one reader of a stack's config: `pilotlight:service`, checked before anything is made, every mistake in one message."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pydantic import ValidationError

from components.capabilities import CLOUD_CONFIG, PLACES
from stacks.checks import cross_problems
from stacks.messages import Problem, problems_of, report, together
from stacks.repair import pruned, survivors
from stacks.settings_service import Settings

NAMESPACE = "pilotlight"


def load_settings(stack: str) -> Settings:
    """The settings of the stack that runs. Raises RunError with every mistake: key, value found, what is allowed.

    They are under one key whatever the project is called: a fork that renames it keeps its stack files, and so do the ready ones.
    """
    raw = pulumi.Config(NAMESPACE).get_object("service")
    if raw is None:
        raise pulumi.RunError(
            f"Stack {stack!r} has no pilotlight:service: write its file with `pilotlight init {stack}`, or copy a ready stack's, "
            f"`cp stacks/Pulumi.aws-sagemaker-api.yaml stacks/Pulumi.{stack}.yaml`."
        )
    return parse(raw, stack, place_told())


def place_told() -> dict[str, str | None]:
    """What the stack's config tells the clouds' providers, by `aws:region` and the like."""
    known = {*PLACES.values(), *(key for keys in CLOUD_CONFIG.values() for key in keys)}
    return {key: pulumi.Config(key.partition(":")[0]).get(key.partition(":")[2]) for key in sorted(known)}


def parse(raw: Any, stack: str, place: Mapping[str, str | None] | None = None) -> Settings:
    """Check plain data as `pilotlight:service`; `place` is what `place_told` tells, if that is known."""
    settings, problems = judged(raw, place)
    if problems or settings is None:
        raise pulumi.RunError(report(stack, problems))
    return settings


def judged(raw: Any, place: Mapping[str, str | None] | None = None) -> tuple[Settings | None, list[Problem]]:
    """The settings where plain data can be read as such, and every problem with it; `place` as in `parse`."""
    settings, problems = None, []
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        problems = problems_of(error, Settings)
        raw = pruned(raw, error)
    return settings, together(problems, cross_problems(settings or survivors(Settings, raw), place))
