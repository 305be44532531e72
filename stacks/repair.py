"""What is still good in a broken config, so that its other mistakes are told in the same message. Pure."""

import copy
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from stacks.paths import part_of

M = TypeVar("M", bound=BaseModel)


def pruned(raw: Any, error: ValidationError) -> Any:
    """A copy of `raw` without the values that `error` is about."""
    left = copy.deepcopy(raw)
    for found in error.errors(include_url=False):
        _remove(left, found["loc"])
    return left


def _remove(tree: Any, path: tuple[int | str, ...]) -> None:
    """Take out the value at `path`; inside a list that is the whole list, because positions would shift."""
    for depth, step in enumerate(path):
        if not isinstance(tree, dict) or step not in tree:
            return
        if depth == len(path) - 1 or not isinstance(tree[step], dict):
            del tree[step]
            return
        tree = tree[step]


def survivors(model: type[M], raw: Any) -> M:
    """The fields of `raw` that parse each by itself, absent ones with their defaults; the others are None, whatever their type says."""
    parts, left = {}, raw if isinstance(raw, dict) else {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key in left:
            parts[name] = None if left[key] is None else _part(field.annotation, left[key])
        else:
            parts[name] = None if field.is_required() else field.get_default(call_default_factory=True)
    present = {name for name, field in model.model_fields.items() if (field.alias or name) in left}
    return model.model_construct(_fields_set=present, **parts)


def _part(annotation: Any, value: Any) -> Any:
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        part = part_of(annotation)
        return survivors(part, value) if part is not None and isinstance(value, dict) else None
