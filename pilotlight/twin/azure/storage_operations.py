"""What a request to Azure Storage wants to do, and which rights that takes.

Rights are those of the REST documentation, "Permissions for calling data operations" (read 2026-11). An operation that no right permits
with a token (container and table policies) is refused to everybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pilotlight.twin.rows import Refusal

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices"
_QUEUES = "Microsoft.Storage/storageAccounts/queueServices"
_TABLES = "Microsoft.Storage/storageAccounts/tableServices"
_ENTITY = re.compile(r"(?P<table>[A-Za-z][A-Za-z0-9]*)(?:\((?P<key>.*)\))?", re.DOTALL)
_NAMED_TABLE = re.compile(r"Tables\('(?P<name>[^']*)'\)")
_MERGES = frozenset({"MERGE", "PATCH"})


@dataclass(frozen=True)
class Right:
    """An action of the control plane or, with `data`, of the data plane."""

    action: str
    data: bool = True


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is asked: `needs` are alternatives, each of which takes all of its rights, on what lies at `below` under the account's id.

    container, name  of the blob; empty where it is about something else
    stores           how the operation makes a blob's content anew, as Event Grid calls it (`PutBlob`); None where it does not
    """

    needs: tuple[tuple[Right, ...], ...]
    below: str = ""
    container: str = ""
    name: str = ""
    stores: str | None = None


def _one(action: str, *, data: bool = True) -> tuple[tuple[Right, ...], ...]:
    return ((Right(action, data),),)


def _control(action: str) -> tuple[tuple[Right, ...], ...]:
    return _one(action, data=False)


def of_blob(method: str, path: list[str], query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    """`path` are the parts behind the account, quoted as they were sent. Refusal for what Azure, or the twin, does not know."""
    comp = query.get("comp", "")
    if comp == "batch":
        raise Refusal("NotImplemented", "The twin does not serve batches of blobs: send the requests one by one.", 501)
    if not path:
        return Operation(needs=_on_blob_service(method, comp, query))
    container = unquote(path[0])
    below = f"/blobServices/default/containers/{container}"
    if query.get("restype") == "container":
        return Operation(needs=_on_container(method, comp), below=below)
    name = unquote("/".join(path[1:]))
    if not name:
        raise Refusal("InvalidUri", "The requested URI does not represent any resource on the server.", 400)
    stores = _stores(method, comp, headers)
    return Operation(needs=_on_blob(method, comp), below=f"{below}/blobs/{name}", container=container, name=name, stores=stores)


def _on_blob_service(method: str, comp: str, query: Mapping[str, str]) -> tuple[tuple[Right, ...], ...]:
    if query.get("restype") == "service":
        return {
            ("GET", "properties"): _control(f"{_BLOBS}/read"),
            ("PUT", "properties"): _control(f"{_BLOBS}/write"),
            ("GET", "stats"): _control(f"{_BLOBS}/read"),
            ("POST", "userdelegationkey"): _control(f"{_BLOBS}/generateUserDelegationKey/action"),
        }.get((method, comp)) or _unknown(method)
    if query.get("restype") == "account":
        return _control(f"{_BLOBS}/getInfo/action")
    if method == "GET" and comp == "list":
        return _control(f"{_BLOBS}/containers/read")
    return _unknown(method)


def _on_container(method: str, comp: str) -> tuple[tuple[Right, ...], ...]:
    if comp == "acl":
        return _control(f"{_BLOBS}/containers/{'setAcl' if method == 'PUT' else 'getAcl'}/action")
    if method in ("GET", "HEAD"):
        return _one(f"{_BLOBS}/containers/blobs/read") if comp == "list" else _control(f"{_BLOBS}/containers/read")
    if method == "DELETE":
        return _control(f"{_BLOBS}/containers/delete")
    return _control(f"{_BLOBS}/containers/write") if method == "PUT" else _unknown(method)


def _on_blob(method: str, comp: str) -> tuple[tuple[Right, ...], ...]:
    blobs = f"{_BLOBS}/containers/blobs"
    if comp == "tags":
        return _one(f"{blobs}/tags/{'write' if method == 'PUT' else 'read'}")
    if method in ("GET", "HEAD") or (method, comp) == ("POST", "query"):
        return _one(f"{blobs}/read")
    if method == "DELETE":
        return _one(f"{blobs}/delete")
    return _one(f"{blobs}/write") if method == "PUT" else _unknown(method)


def _stores(method: str, comp: str, headers: Mapping[str, str]) -> str | None:
    """Event Grid documentation, "Azure Blob Storage as an Event Grid source" (read 2026-11): data.api of BlobCreated."""
    if method != "PUT":
        return None
    if comp == "":
        return "CopyBlob" if "x-ms-copy-source" in headers else "PutBlob"
    return "PutBlockList" if comp == "blocklist" else None


def of_queue(method: str, path: list[str], query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    """The same for queues."""
    comp = query.get("comp", "")
    if not path:
        if query.get("restype") == "service":
            return Operation(needs=_control(f"{_QUEUES}/{'write' if method == 'PUT' else 'read'}"))
        return Operation(needs=_control(f"{_QUEUES}/queues/read") if comp == "list" else _unknown(method))
    below = f"/queueServices/default/queues/{unquote(path[0])}"
    if len(path) == 1:
        if comp == "acl":
            return Operation(needs=(), below=below)
        verb = {"GET": "read", "HEAD": "read", "PUT": "write", "DELETE": "delete"}.get(method) or _unknown(method)
        return Operation(needs=_control(f"{_QUEUES}/queues/{verb}"), below=below)
    return Operation(needs=_on_messages(method, len(path) > 2, query), below=below)


def _on_messages(method: str, one: bool, query: Mapping[str, str]) -> tuple[tuple[Right, ...], ...]:
    messages = f"{_QUEUES}/queues/messages"
    read, write, add, delete, process = (
        Right(f"{messages}/{verb}") for verb in ("read", "write", "add/action", "delete", "process/action")
    )
    if method == "GET":
        return ((read,),) if query.get("peekonly") == "true" else ((process,), (read, delete))
    if one:
        return {"PUT": ((write,),), "DELETE": ((process,), (delete,))}.get(method) or _unknown(method)
    return {"POST": ((add,), (write,)), "DELETE": ((delete,),)}.get(method) or _unknown(method)


def of_table(method: str, path: list[str], query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
    """The same for tables; a transaction is judged by its parts (`storage_batches`)."""
    if not path:
        return Operation(needs=_control(f"{_TABLES}/{'write' if method == 'PUT' else 'read'}"))
    resource = unquote("/".join(path))
    if resource == "Tables":
        return Operation(needs=_control(f"{_TABLES}/tables/{'write' if method == 'POST' else 'read'}"))
    if named := _NAMED_TABLE.fullmatch(resource):
        verb = "delete" if method == "DELETE" else "read"
        return Operation(needs=_control(f"{_TABLES}/tables/{verb}"), below=_table(named["name"]))
    found = _ENTITY.fullmatch(resource)
    if found is None:
        raise Refusal("InvalidInput", "One of the request inputs is not valid.", 400)
    if query.get("comp") == "acl":
        return Operation(needs=(), below=_table(found["table"]))
    return Operation(needs=_on_entities(method, headers), below=_table(found["table"]))


def _table(name: str) -> str:
    return f"/tableServices/default/tables/{name}"


def _on_entities(method: str, headers: Mapping[str, str]) -> tuple[tuple[Right, ...], ...]:
    entities = f"{_TABLES}/tables/entities"
    method = headers.get("x-http-method", method).upper()
    read, write, add, update, delete = (Right(f"{entities}/{verb}") for verb in ("read", "write", "add/action", "update/action", "delete"))
    if method in ("GET", "HEAD"):
        return ((read,),)
    if method == "POST":
        return ((write,), (add,))
    if method == "PUT" or method in _MERGES:
        # With a condition it changes what is there, without one it may also make it.
        return ((write,), (update,)) if "if-match" in headers else ((write,), (add, update))
    return ((delete,),) if method == "DELETE" else _unknown(method)


def _unknown(method: str) -> tuple[tuple[Right, ...], ...]:
    raise Refusal("UnsupportedHttpVerb", f"The resource doesn't support the specified HTTP verb {method}.", 405)


OPERATIONS = {"blob": of_blob, "queue": of_queue, "table": of_table}
