"""Queries over the documents of a collection: filters, order, cursors, limit, projection, and what is counted of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.cloud.firestore_v1.types import query as types

from pilotlight.twin.gcp import firestore_values as values
from pilotlight.twin.gcp.firestore_values import KIND, Value
from pilotlight.twin.gcp.grpc_front import invalid, not_served

Query: Any = types.StructuredQuery.pb()
NAME = "__name__"
_FIELD: Any = Query.FieldFilter
_UNARY: Any = Query.UnaryFilter
_DESCENDING = Query.DESCENDING
_INEQUALITIES = frozenset(map(_FIELD.Operator.Value, ("LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL")))
_UNEQUAL = _INEQUALITIES | frozenset(map(_FIELD.Operator.Value, ("NOT_EQUAL", "NOT_IN")))
# Firestore documentation, "Query limitations" (read 2026-11): values that `in`, `not-in` and `array-contains-any` take.
MAX_CHOICES = 30

Compare = Callable[[Any, Any], bool]
_TESTS: Mapping[str, Compare] = {
    "EQUAL": lambda held, given: values.key(held) == values.key(given),
    "NOT_EQUAL": lambda held, given: not _null(held) and values.key(held) != values.key(given),
    "LESS_THAN": lambda held, given: _alike(held, given) and values.key(held) < values.key(given),
    "LESS_THAN_OR_EQUAL": lambda held, given: _alike(held, given) and values.key(held) <= values.key(given),
    "GREATER_THAN": lambda held, given: _alike(held, given) and values.key(held) > values.key(given),
    "GREATER_THAN_OR_EQUAL": lambda held, given: _alike(held, given) and values.key(held) >= values.key(given),
    "IN": lambda held, given: _among(held, given.array_value.values),
    "NOT_IN": lambda held, given: not _null(held) and not _among(held, given.array_value.values),
    "ARRAY_CONTAINS": lambda held, given: _among(given, held.array_value.values),
    "ARRAY_CONTAINS_ANY": lambda held, given: any(_among(one, held.array_value.values) for one in given.array_value.values),
}
_LISTS = frozenset({"IN", "NOT_IN", "ARRAY_CONTAINS_ANY"})
_UNARIES: Mapping[str, Callable[[Any], bool]] = {
    "IS_NULL": lambda held: _null(held),
    "IS_NOT_NULL": lambda held: not _null(held),
    "IS_NAN": lambda held: _nan(held),
    "IS_NOT_NAN": lambda held: not _nan(held) and not _null(held),
}


def _null(held: Any) -> bool:
    return bool(held.WhichOneof(KIND) in (None, "null_value"))


def _nan(held: Any) -> bool:
    return bool(held.WhichOneof(KIND) == "double_value" and math.isnan(held.double_value))


def _alike(held: Any, given: Any) -> bool:
    """Whether the two are of one kind: a range is of one, and NaN is in none."""
    return values.key(held)[0] == values.key(given)[0] and not _nan(held)


def _among(value: Any, choices: Iterable[Any]) -> bool:
    return any(values.key(value) == values.key(one) for one in choices)


def run(query: Any, documents: Iterable[Any]) -> list[Any]:
    """The documents that the query gives, in its order. GrpcError for what the twin can't answer."""
    if query.HasField("find_nearest"):
        raise not_served("The local twin does not serve searches for nearest vectors.")
    orders = _orders(query)
    found = [one for one in documents if _matches(query.where, one) and all(_field(one, path) is not None for path, _ in orders)]
    for path, descending in reversed(orders):
        found.sort(key=lambda one: values.key(_field(one, path)), reverse=descending)
    if query.HasField("start_at"):
        found = [one for one in found if _beside(one, query.start_at, orders) >= (0 if query.start_at.before else 1)]
    if query.HasField("end_at"):
        found = [one for one in found if _beside(one, query.end_at, orders) <= (-1 if query.end_at.before else 0)]
    end = query.offset + query.limit.value if query.HasField("limit") else None
    found = found[query.offset : end]
    paths = [one.field_path for one in query.select.fields]
    if not query.HasField("select"):
        return found
    return [values.projected(one, [path for path in paths if path != NAME]) for one in found]


def _field(document: Any, path: str) -> Any | None:
    return Value(reference_value=document.name) if path == NAME else values.get(document.fields, path)


def _matches(where: Any, document: Any) -> bool:
    kind = where.WhichOneof("filter_type")
    if kind is None:
        return True
    if kind == "composite_filter":
        answers = (_matches(one, document) for one in where.composite_filter.filters)
        return any(answers) if where.composite_filter.op == Query.CompositeFilter.OR else all(answers)
    asked = getattr(where, kind)
    held = _field(document, asked.field.field_path)
    if kind == "unary_filter":
        unary = _UNARIES.get(_UNARY.Operator.Name(asked.op))
        if unary is None:
            raise invalid("A filter has no operator.")
        return held is not None and unary(held)
    name = _FIELD.Operator.Name(asked.op)
    if name not in _TESTS:
        raise invalid("A filter has no operator.")
    if name in _LISTS and not 1 <= len(asked.value.array_value.values) <= MAX_CHOICES:
        raise invalid(f"'{name}' takes 1 to {MAX_CHOICES} values, not {len(asked.value.array_value.values)}.")
    return held is not None and _TESTS[name](held, asked.value)


def _orders(query: Any) -> list[tuple[str, bool]]:
    """(path, descending): those given, then fields of inequalities, then the name, as Firestore adds them."""
    given = [(one.field.field_path, one.direction == _DESCENDING) for one in query.order_by]
    last = given[-1][1] if given else False
    known = {path for path, _ in given}
    for path in sorted(set(_unequal(query.where)) - known):
        given.append((path, last))
    return given if NAME in (path for path, _ in given) else [*given, (NAME, last)]


def _unequal(where: Any) -> Iterable[str]:
    kind = where.WhichOneof("filter_type")
    if kind == "composite_filter":
        for one in where.composite_filter.filters:
            yield from _unequal(one)
    elif kind == "field_filter" and where.field_filter.op in _UNEQUAL:
        yield where.field_filter.field.field_path


def _beside(document: Any, cursor: Any, orders: list[tuple[str, bool]]) -> int:
    """-1, 0 or 1: before, at or after the cursor."""
    for value, (path, descending) in zip(cursor.values, orders, strict=False):
        held, given = values.key(_field(document, path)), values.key(value)
        if held != given:
            return -1 if (held < given) != descending else 1
    return 0


def aggregated(aggregation: Any, documents: list[Any]) -> Any:
    """The value of a count, sum or average."""
    kind = aggregation.WhichOneof("operator")
    if kind == "count":
        up_to = aggregation.count.up_to.value
        return Value(integer_value=min(len(documents), up_to) if up_to else len(documents))
    if kind not in ("sum", "avg"):
        raise invalid("An aggregation has no operator.")
    path = getattr(aggregation, kind).field.field_path
    numbers = [one for one in (values.number(values.get(document.fields, path)) for document in documents) if one is not None]
    if kind == "sum":
        return values.integer_or_double(sum(numbers))
    return Value(double_value=sum(numbers) / len(numbers)) if numbers else Value(null_value=0)
