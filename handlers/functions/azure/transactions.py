"""Several entities of one partition, written together or not at all.

Source of the request, its answer and its limits: Azure Storage REST API, "Performing entity group transactions".
"""

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message

from handlers.functions.azure.entities import Entity, EntityError
from handlers.functions.azure.storage_api import after_s, did_nothing
from handlers.functions.azure.tables import BODY, LOST, Table, as_json
from handlers.functions.rest import ApiError, patiently

MOST_OPERATIONS, MOST_BYTES = 100, 4 * 1024**2
# The parser of mails takes twenty times as long, for each result that is written.
_BOUNDARY = re.compile(rb'boundary="?([^\s";]+)', re.IGNORECASE)
_ETAG = re.compile(rb"^etag:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Operation:
    """An entity to store: a new one without an `etag`, else in the place of what had it; `whatever` is there, without a condition."""

    entity: Entity
    etag: str = ""
    whatever: bool = False


def commit(table: Table, operations: Sequence[Operation]) -> list[str] | None:
    """Store all: their ETags, or None where others were faster with one of them, and then nothing is stored.

    Raises EntityError, ApiError.
    """
    _check(operations)
    boundary = uuid.uuid4().hex
    content, unsure = _content(table, operations, boundary), False

    def committed() -> list[str] | None:
        nonlocal unsure
        try:
            return _sent(table, content, boundary, len(operations))
        except ApiError as error:
            if error.code in LOST:
                return _ours(table, operations) if unsure else None
            unsure = unsure or not did_nothing(error)
            raise

    return patiently(committed)


def _check(operations: Sequence[Operation]) -> None:
    rows = {(operation.entity.partition, operation.entity.row) for operation in operations}
    if not 1 <= len(operations) <= MOST_OPERATIONS:
        raise EntityError(f"The transaction has {len(operations)} operations: 1 to {MOST_OPERATIONS} are allowed.")
    if len({partition for partition, _ in rows}) > 1 or len(rows) < len(operations):
        raise EntityError("The transaction has entities of several partitions, or one of them twice: it is for the rows of one partition.")


def _content(table: Table, operations: Sequence[Operation], boundary: str) -> bytes:
    parts = b"".join(_part(table, number, operation, boundary) for number, operation in enumerate(operations))
    head = f"--batch_{boundary}\r\nContent-Type: multipart/mixed; boundary=changeset_{boundary}\r\n\r\n"
    content = head.encode() + parts + f"--changeset_{boundary}--\r\n--batch_{boundary}--\r\n".encode()
    if len(content) > MOST_BYTES:
        raise EntityError(f"The transaction has {len(content)} bytes: {MOST_BYTES} are allowed.")
    return content


def _part(table: Table, number: int, operation: Operation, boundary: str) -> bytes:
    entity, body = operation.entity, as_json(operation.entity)
    new = not operation.etag and not operation.whatever
    method, path = ("POST", f"/{table.name}") if new else ("PUT", table.path(entity.partition, entity.row))
    headers = BODY | {"Content-Length": str(len(body))} | ({"If-Match": operation.etag} if operation.etag else {})
    lines = [f"--changeset_{boundary}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", f"Content-ID: {number}", ""]
    lines += [f"{method} {table.url}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body + b"\r\n"


def _sent(table: Table, content: bytes, boundary: str, count: int) -> list[str]:
    """The ETags. Raises ApiError: one that passes where not each of the `count` operations has an answer, since nobody knows then whether
    they are stored."""
    headers = {"Content-Type": f"multipart/mixed; boundary=batch_{boundary}", "Accept": BODY["Accept"], "DataServiceVersion": "3.0"}
    with table.api.asked("POST", "/$batch", headers, content) as answer:
        kind, text = answer.headers.get("content-type", ""), answer.read()
    etags = [_etag(part) for part in _parts(kind, text)]
    if len(etags) != count:
        raise ApiError(f"The answer is for {len(etags)} of {count} operations.")
    return etags


def _parts(kind: str, text: bytes) -> list[bytes]:
    """The answers to the operations, of an answer of that content type: the parts of the change set in it."""
    boundary = _BOUNDARY.search(text.partition(b"HTTP/")[0]) or _BOUNDARY.search(kind.encode())
    parts = text.split(b"--" + boundary[1])[1:-1] if boundary is not None else []
    return [part.partition(b"\r\n\r\n")[2] for part in parts]


def _etag(part: bytes) -> str:
    """Of the answer to one operation. Raises ApiError: a transaction that fails has one answer, to the operation that it failed with."""
    line, _, rest = part.partition(b"\r\n")
    words = line.decode(errors="replace").split(" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdecimal() else None
    if status is not None and status < 300:
        etag = _ETAG.search(rest.partition(b"\r\n\r\n")[0])
        return etag[1].decode().strip() if etag is not None else ""
    raise _error(status, message_from_bytes(rest))


def _error(status: int | None, answer: Message) -> ApiError:
    """Its message is `NUMBER OF THE OPERATION:what is wrong`, with further lines."""
    text = str(answer.get_payload())
    try:
        told = json.loads(text)["odata.error"]
        code, said = str(told["code"]), str(told["message"]["value"]).split("\n")[0]
    except (ValueError, KeyError, TypeError):
        return ApiError(f"{status}: {' '.join(text.split())[:300]}", status, after_s=after_s(answer))
    return ApiError(f"{status} {code}: {said}", status, code, after_s(answer))


def _ours(table: Table, operations: Sequence[Operation]) -> list[str] | None:
    etags = [table.is_ours(operation.entity) for operation in operations]
    return [etag for etag in etags if etag] if all(etags) else None
