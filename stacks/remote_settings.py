"""From the inputs of a component, as a program in any language gave them, to checked settings."""

from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
from pulumi.output import Unknown
from pydantic import BaseModel

from stacks.messages import Problem, together
from stacks.paths import kinds, part_of
from stacks.settings import judged, place_told
from stacks.settings_service import Settings


def settings_of(pattern: str, inputs: Mapping[str, Any]) -> Settings:
    """The settings of that pattern. Raises InputPropertiesError with every mistake: input, what is allowed."""
    plain, late = {}, []
    for key, value in inputs.items():
        found = [*_late(value, key)]
        late += [Problem((path,), f"{path}: it steers what is made, so that it must be known before: use a plain value") for path in found]
        if not found:
            plain[key] = _whole(value)
    settings, problems = judged({**plain, "pattern": pattern}, place_told())
    if problems := together(late, problems):
        raise pulumi.InputPropertiesError(*_told(problems, by_input=not late))
    assert settings is not None  # nothing was wrong
    return settings


def as_written(part: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names of the fields as they are written in YAML."""
    return {
        (field.alias or name): _as_written(field.annotation, values[name]) for name, field in part.model_fields.items() if name in values
    }


def _as_written(annotation: Any, value: Any) -> Any:
    part = part_of(annotation)
    if part is not None and isinstance(value, Mapping):
        return as_written(part, value)
    if rules := kinds(annotation):
        names = {name: field.alias or name for rule in rules.values() for name, field in rule.model_fields.items()}
        return [{names[name]: each for name, each in entry.items()} for entry in value]
    return value


def _late(value: Any, path: str) -> Iterator[str]:
    """The paths of values that are secret, or known only when something is made."""
    if isinstance(value, pulumi.Output | Unknown):
        yield path
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _late(each, f"{path}.{key}")
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _late(each, f"{path}.{position}")


def _whole(value: Any) -> Any:
    """Every number comes as a float from the engine."""
    if isinstance(value, Mapping):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _told(problems: list[Problem], *, by_input: bool) -> tuple[str, list[pulumi.errors.InputPropertyErrorDetails]]:
    """A message, and what is wrong with each input, whose value the engine adds; all in the message where it could not
    (Pulumi 3.274 panics where it would show one that is not known yet)."""
    beside, inputs = [], []
    for problem in problems:
        key = problem.keys[0]
        # With a colon it is a key of the stack's config.
        if by_input and ":" not in key:
            path = "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in key.split(".")).removeprefix(".")
            inputs.append(pulumi.errors.InputPropertyErrorDetails(property_path=path, reason=problem.text.removeprefix(f"{key}: ")))
        else:
            beside.append(problem.text.replace("beside pilotlight:service", "in the stack's config"))
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n\t\t- ".join([f"the settings have {count}:", *beside]), inputs
