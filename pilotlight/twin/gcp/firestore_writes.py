"""What one write makes of a document: precondition, mask, transforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.cloud.firestore_v1.types import write as types
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from pilotlight.twin.gcp.firestore_values import KIND, Document, Value, get, integer_or_double, key, number, put, size
from pilotlight.twin.gcp.grpc_front import GrpcError, invalid

WriteResult: Any = types.WriteResult.pb()
# Firestore documentation, "Usage and limits": a document's size, the transforms of one, bytes of a part of its name (read 2026-11).
MAX_DOCUMENT_BYTES = 1_048_576
MAX_TRANSFORMS = 500
MAX_PART_BYTES = 1500


@dataclass(frozen=True, kw_only=True)
class Written:
    """`document` is what is there afterwards, None after a delete."""

    document: Any | None
    result: Any


def name_of(write: Any) -> str:
    """The document that a write is about."""
    operation = write.WhichOneof("operation")
    name: str = write.update.name if operation == "update" else write.delete if operation == "delete" else write.transform.document
    return name


def require_name(name: str) -> None:
    """GrpcError for what can name no document."""
    parts = name.split("/")
    path = parts[5:]
    if len(parts) < 7 or parts[0] != "projects" or parts[2] != "databases" or parts[4] != "documents" or len(path) % 2:
        raise invalid(f"Document name {name!r} has the wrong form: use projects/P/databases/D/documents/COLLECTION/DOCUMENT.")
    for part in path:
        if part in ("", ".", "..") or (part.startswith("__") and part.endswith("__")) or len(part.encode()) > MAX_PART_BYTES:
            raise invalid(f"Document name {name!r} holds {part!r}: use 1 to {MAX_PART_BYTES} bytes, not '.', '..' or '__…__'.")


def apply(write: Any, held: Any | None, time: Timestamp) -> Written:
    """The write on the document that is held under its name, None where there is none. GrpcError where it can't be."""
    name = name_of(write)
    require_name(name)
    _require(name, write.current_document, held)
    if write.WhichOneof("operation") == "delete":
        return Written(document=None, result=WriteResult())
    made, result = _updated(write, held), WriteResult()
    transforms = [*write.update_transforms, *write.transform.field_transforms]
    if len(transforms) > MAX_TRANSFORMS:
        raise invalid(f"{len(transforms)} transforms of {name}: use up to {MAX_TRANSFORMS}.")
    for transform in transforms:
        result.transform_results.append(_transformed(made, transform, time))
    if (weight := size(made)) > MAX_DOCUMENT_BYTES:
        raise invalid(
            f"Document {name!r} cannot be written because its size ({weight:,} bytes) exceeds the maximum allowed size of "
            f"{MAX_DOCUMENT_BYTES:,} bytes."
        )
    # A write that changes nothing leaves the time of the last change.
    same = held is not None and held.fields == made.fields
    made.name = name
    made.create_time.CopyFrom(held.create_time if held is not None else time)
    made.update_time.CopyFrom(held.update_time if held is not None and same else time)
    result.update_time.CopyFrom(made.update_time)
    return Written(document=made, result=result)


def _require(name: str, condition: Any, held: Any | None) -> None:
    kind = condition.WhichOneof("condition_type")
    if kind == "exists" and condition.exists and held is None:
        raise GrpcError(grpc.StatusCode.NOT_FOUND, f"No document to update: {name}")
    if kind == "exists" and not condition.exists and held is not None:
        raise GrpcError(grpc.StatusCode.ALREADY_EXISTS, f"Document already exists: {name}")
    if kind == "update_time" and (held is None or held.update_time != condition.update_time):
        stored = held.update_time.ToJsonString() if held is not None else "none"
        wanted = condition.update_time.ToJsonString()
        raise GrpcError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the stored version ({stored}) does not match the required base version ({wanted}) of {name}",
        )


def _updated(write: Any, held: Any | None) -> Any:
    made = Document(name=name_of(write))
    merges = write.WhichOneof("operation") == "transform" or write.HasField("update_mask")
    if not merges:
        made.CopyFrom(write.update)
        return made
    if held is not None:
        made.CopyFrom(held)
    for path in write.update_mask.field_paths:
        put(made.fields, path, get(write.update.fields, path))
    return made


def _joined(old: list[Any], given: list[Any]) -> list[Any]:
    made = list(old)
    for one in given:
        if all(key(one) != key(other) for other in made):
            made.append(one)
    return made


def _left(old: list[Any], given: list[Any]) -> list[Any]:
    gone = [key(one) for one in given]
    return [one for one in old if key(one) not in gone]


def _transformed(made: Any, transform: Any, time: Timestamp) -> Any:
    """Put what the transform gives into the document; the value that the result names."""
    held, kind = get(made.fields, transform.field_path), transform.WhichOneof("transform_type")
    if kind == "set_to_server_value":
        value = Value(timestamp_value=time)
    elif kind in ("increment", "maximum", "minimum"):
        value = _calculated(kind, held, getattr(transform, kind))
    elif kind in ("append_missing_elements", "remove_all_from_array"):
        old = list(held.array_value.values) if held is not None and held.WhichOneof(KIND) == "array_value" else []
        change: Callable[[list[Any], list[Any]], list[Any]] = _joined if kind == "append_missing_elements" else _left
        value = Value()
        value.array_value.SetInParent()
        value.array_value.values.extend(change(old, list(getattr(transform, kind).values)))
        put(made.fields, transform.field_path, value)
        return Value(null_value=0)
    else:
        raise invalid(f"The transform of {transform.field_path!r} is empty.")
    put(made.fields, transform.field_path, value)
    return value


def _calculated(kind: str, held: Any | None, operand: Any) -> Any:
    left, right = number(held), number(operand)
    if right is None:
        raise invalid(f"{kind} takes a number.")
    if left is None:
        return operand
    if kind == "increment":
        return integer_or_double(left + right)
    larger = operand if right > left else held
    smaller = operand if right < left else held
    return larger if kind == "maximum" else smaller
