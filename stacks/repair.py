"""What is still good in a broken config, so that its other mistakes are told in the same message. Pure."""

import copy
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

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
    """The fields of `raw` that parse each by itself; the others are None, whatever their type says."""
    parts = {}
    for name, field in model.model_fields.items():
        value = raw.get(field.alias or name) if isinstance(raw, dict) else None
        parts[name] = None if value is None else _part(field.annotation, value)
    return model.model_construct(**parts)


def _part(annotation: Any, value: Any) -> Any:
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return None
