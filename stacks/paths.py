"""From a path into the config to the field of the settings that it means. Pure."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Path = tuple[int | str, ...]


def plain(path: Path) -> Path:
    """The path as it is written in YAML: pydantic adds the kind of a list's entry behind its position."""
    return tuple(step for depth, step in enumerate(path) if isinstance(step, int) or depth == 0 or not isinstance(path[depth - 1], int))


def key_of(path: Path) -> str:
    """The path with dots, `warming.0.cron`."""
    return ".".join(str(step) for step in plain(path)) or "pilotlight:service"


def resolve(model: type[BaseModel], path: Path) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The model that holds the last step of `path`, and the field of that name if it has one."""
    owner: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for depth, step in enumerate(path):
        if isinstance(step, int) or (depth > 0 and isinstance(path[depth - 1], int)):
            # An entry of a list, and its kind: the field is still the list's.
            owner = None if field is None else _entry(field.annotation, str(step)) or owner
            continue
        if owner is None:
            return None, field
        field = next((each for name, each in owner.model_fields.items() if (each.alias or name) == step), None)
        if depth < len(path) - 1 and isinstance(path[depth + 1], str):
            owner = None if field is None else part_of(field.annotation)
    return owner, field


def part_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, if it holds one."""
    return next((each for each in _options(annotation) if isinstance(each, type) and issubclass(each, BaseModel)), None)


def choices(annotation: Any) -> list[str]:
    """The values of a closed list, also where the field holds a list of them."""
    options = [inner for each in _options(annotation) for inner in (get_args(each) if get_origin(each) is list else (each,))]
    return [str(value) for each in options if get_origin(each) is Literal for value in get_args(each)]


def kinds(annotation: Any) -> dict[str, type[BaseModel]]:
    """The models that a list's entries may be, by their kind."""
    entries = [option for each in _options(annotation) if get_origin(each) is list for option in get_args(each)]
    unions = [get_args(each)[0] if get_origin(each) is Annotated else each for each in entries]
    models = [each for union in unions for each in _options(union) if isinstance(each, type) and issubclass(each, BaseModel)]
    return {tag: each for each in models for tag in choices(each.model_fields["kind"].annotation)}


def _entry(annotation: Any, kind: str) -> type[BaseModel] | None:
    return kinds(annotation).get(kind)


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
