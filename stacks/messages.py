"""What is wrong with a config, in sentences: key, value found, what is allowed, what was probably meant. Pure."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from components.limits import Choice, Range
from stacks.parts import Source
from stacks.paths import Path, choices, key_of, kinds, part_of, plain, resolve

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
    "greater_than": "use more than {gt}",
    "less_than_equal": "use {le} or less",
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


def told(text: str, *keys: str) -> Problem:
    """A problem of `keys`, by default of the key that the sentence begins with."""
    return Problem(keys or (text.split(":")[0],), text)


def within(key: str, value: float | None, allowed: Range | Choice, what: str = "") -> Iterator[Problem]:
    """The problem of a value outside its limit, if there is one, with the limit's source."""
    problem = None if value is None else allowed.problem(value)
    if problem is not None:
        yield told(f"{key}: {shown(value)}{what}: {problem} ({allowed.source})", key)


def keys_of(model: type[BaseModel], name: str) -> str:
    """What goes into the part of that name, in words."""
    part = part_of(next(field.annotation for key, field in model.model_fields.items() if (field.alias or key) == name))
    known = [] if part is None else [each.alias or key for key, each in part.model_fields.items()]
    return f"use a mapping with {', '.join(known)}"


def shown(value: Any) -> str:
    """A value as it was found, cut where it is long."""
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True, exclude_unset=True, warnings=False)
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
    return [Problem((key_of(found["loc"]),), _sentence(dict(found), model)) for found in error.errors(include_url=False)]


def _sentence(found: dict[str, Any], model: type[BaseModel]) -> str:
    path: Path = found["loc"]
    key = key_of(path)
    owner, field = resolve(model, path)
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
    known = kinds(field.annotation)
    if known and isinstance(plain(found["loc"])[-1], int):
        return f"use a mapping with kind {' or '.join(known)}"
    closed = choices(field.annotation)
    if closed and found["type"] in ("missing", "literal_error"):
        source = "".join(f" ({each.text})" for each in field.metadata if isinstance(each, Source))
        return f"{meant(str(found['input']), closed) if found['type'] != 'missing' else ''}use {' or '.join(closed)}{source}"
    part = part_of(field.annotation)
    if part is not None and found["type"] in ("missing", "model_type"):
        return f"use a mapping with {', '.join(each.alias or name for name, each in part.model_fields.items())}"
    return field.description or ""
