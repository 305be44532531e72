"""The one reader of a stack's config: `pilotlight:service`, checked before anything is made, every mistake in one message."""

from typing import Any

import pulumi
from pydantic import ValidationError

from stacks.checks import cross_problems
from stacks.messages import problems_of, report, together
from stacks.repair import pruned, survivors
from stacks.settings_service import Settings


def load_settings(config: pulumi.Config, stack: str) -> Settings:
    """The stack's settings. Raises RunError with every mistake: key, value found, what is allowed."""
    raw = config.get_object("service")
    if raw is None:
        raise pulumi.RunError(
            f"Stack {stack!r} has no pilotlight:service: copy a ready stack's file, "
            f"`cp stacks/Pulumi.aws-sagemaker-api.yaml stacks/Pulumi.{stack}.yaml`."
        )
    return parse(raw, stack, pulumi.Config("aws").get("region"))


def parse(raw: Any, stack: str, region: str | None = None) -> Settings:
    """Check plain data as `pilotlight:service`; `region` is where the stack deploys, if that is known."""
    settings, problems = None, []
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        problems = problems_of(error, Settings)
        raw = pruned(raw, error)
    problems = together(problems, cross_problems(settings or survivors(Settings, raw), region))
    if problems or settings is None:
        raise pulumi.RunError(report(stack, problems))
    return settings
