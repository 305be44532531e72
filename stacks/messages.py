"""What is wrong with a config, in sentences: key, value found, what is allowed, what was probably meant. Pure."""

import difflib
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

SHOWN = 60
# pydantic's error types in the words of somebody who writes YAML.
_PLAIN = {
    "int_type": "use a whole number",
    "int_from_float": "use a whole number",
    "float_type": "use a number",
    "string_type": "use a text",
    "list_type": "use a list",
    "dict_type": "use a mapping",
    "greater_than_equal": "use {ge} or more",
    "too_short": "use {min_length} or more",
    "too_long": "use {max_length} or fewer",
    "string_too_short": "use {min_length} characters or more",
    "string_too_long": "use {max_length} characters or fewer",
}


@dataclass(frozen=True)
class Problem:
    """A sentence, and the dotted keys that it is about."""

    keys: tuple[str, ...]
    text: str


def report(stack: str, problems: Sequence[Problem]) -> str:
    """All problems of a stack's config as one message."""
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "".join(f"\n  {problem.text}" for problem in problems)
    return f"The config of stack {stack!r} (stacks/Pulumi.{stack}.yaml, under pilotlight:service) has {count}:{lines}"


def together(problems: Sequence[Problem], more: Iterable[Problem]) -> list[Problem]:
    """All problems, without those that only follow from one that is already told of the same key."""
    told = list(problems)
    for problem in more:
        if not any(_related(key, known) for key in problem.keys for each in told for known in each.keys):
            told.append(problem)
    return told


def _related(one: str, other: str) -> bool:
    """Whether two dotted keys are the same or one lies inside the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def shown(value: Any) -> str:
    """A value as it was found, cut where it is long."""
    text = {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def meant(word: str, known: Sequence[str]) -> str:
    """`did you mean …? ` where a known word is close, else nothing."""
    # Case counts for nothing: `MaxConcurrency` and `max_concurrency` are meant as well.
    plain = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word).replace("_", "").replace("-", "").lower(), list(plain), n=1, cutoff=0.6)
    return f"did you mean {plain[close[0]]}? " if close else ""


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """One sentence per mistake that the model found."""
    return [Problem((_key(found["loc"]),), _sentence(dict(found), model)) for found in error.errors(include_url=False)]


def _key(path: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in path) or "pilotlight:service"


def _sentence(found: dict[str, Any], model: type[BaseModel]) -> str:
    path: tuple[int | str, ...] = found["loc"]
    key = _key(path)
    owner, field = _resolve(model, path)
    if found["type"] == "extra_forbidden" and owner is not None:
        known = [each.alias or name for name, each in owner.model_fields.items()]
        return f"{key}: {shown(found['input'])}: unknown key, {meant(str(path[-1]), known)}allowed here: {', '.join(known)}"
    allowed = _allowed(field, found) or _PLAIN.get(found["type"], "").format(**found.get("ctx", {}))
    if not path:
        allowed = f"use a mapping with {', '.join(each.alias or name for name, each in model.model_fields.items())}"
    if found["type"] == "missing":
        return f"{key}: missing: {allowed or 'it has no default'}"
    return f"{key}: {shown(found['input'])}: {allowed or found['msg'][:1].lower() + found['msg'][1:]}"


def _allowed(field: FieldInfo | None, found: dict[str, Any]) -> str:
    """What the field takes, in words, where that is more than pydantic's own message."""
    if field is None:
        return ""
    choices = _choices(field.annotation)
    if choices:
        return f"{meant(str(found['input']), choices) if found['type'] != 'missing' else ''}use {' or '.join(choices)}"
    part = part_of(field.annotation)
    if part is not None and found["type"] in ("missing", "model_type"):
        return f"use a mapping with {', '.join(each.alias or name for name, each in part.model_fields.items())}"
    return field.description or ""


def _resolve(model: type[BaseModel], path: tuple[int | str, ...]) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The model that holds the last step of `path`, and the field of that name if it has one."""
    owner: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for depth, step in enumerate(path):
        if owner is None:
            return None, field
        field = next((each for name, each in owner.model_fields.items() if (each.alias or name) == step), None)
        if depth < len(path) - 1:
            owner = None if field is None else part_of(field.annotation)
    return owner, field


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def part_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, if it holds one."""
    return next((each for each in _options(annotation) if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _choices(annotation: Any) -> list[str]:
    return [str(value) for each in _options(annotation) if get_origin(each) is Literal for value in get_args(each)]
