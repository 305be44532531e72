"""The headers of the description: those that a request may have, and those that an answer has.

`Accept` is in neither table: OpenAPI passes over a parameter of this name, the media types of the answers stand for it.
"""

from collections.abc import Mapping
from typing import Any

from handlers.functions.deadline import TIMEOUT_HEADER
from handlers.functions.logs import CLIENT_REQUEST_ID_HEADER, CUSTOM_ATTRIBUTES_HEADER
from handlers.server.contracts.open_inference import HEADER_LENGTH

# What can't be read as one is passed over, so nothing that is sent is wrong.
_TEXT = {"type": "string"}
_WHOLE = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
_ATTRIBUTES, _LENGTH, _TIMEOUT = CUSTOM_ATTRIBUTES_HEADER.title(), HEADER_LENGTH.title(), TIMEOUT_HEADER.title()
_CLIENT_ID, _ID, _TRACE = CLIENT_REQUEST_ID_HEADER.title(), "X-Request-Id", "traceparent"

# Name -> what it says, and its schema.
_READ: Mapping[str, tuple[str, dict[str, Any]]] = {
    _CLIENT_ID: (f"The request's id, as {_ID}, before which it is looked for", _TEXT),
    _ID: ("The request's id in the log and the answer: 1 to 128 letters, digits and ._:=/+-, else another is made", _TEXT),
    _TRACE: ("The trace that the request belongs to (W3C Trace Context)", _TEXT),
    _TIMEOUT: ("The milliseconds that the caller has left", _WHOLE),
    _ATTRIBUTES: ("SageMaker's custom attributes: request-id=…, timeout-ms=…, between semicolons", _TEXT),
    _LENGTH: ("How many of the body's bytes are JSON; binary tensors come behind", _WHOLE),
    "Prefer": ("With respond-async the answer is 202 at once", {"anyOf": [{"const": "respond-async"}, _TEXT]}),
}
# The same, with whether an answer that names it always has it.
_SENT: Mapping[str, tuple[str, dict[str, Any], bool]] = {
    _ID: ("The request's id, as the log has it", {"type": "string", "minLength": 1, "maxLength": 128}, True),
    "X-Ms-Request-Id": (f"The same as {_ID}", {"type": "string", "minLength": 1, "maxLength": 128}, True),
    "Allow": ("The methods of this path", {"type": "string", "pattern": "^[A-Z]+(, [A-Z]+)*$"}, True),
    "Retry-After": ("Seconds after which to ask again", {"type": "integer", "minimum": 1}, True),
    "Server-Timing": ("With the first answer: where the cold start went, in milliseconds", _TEXT, False),
    _ATTRIBUTES: ("With the first answer: the same for callers of InvokeEndpoint", _TEXT, False),
    _LENGTH: ("Of an answer with binary tensors: how many of its bytes are JSON", _WHOLE, False),
}
# What the routes have beside the headers that every request, or every prediction, may have.
_READ_BY = {
    "POST /invocations": (_ATTRIBUTES,),
    "POST /v2/models/{model}/infer": (_LENGTH,),
    **dict.fromkeys(("POST /predictions", "PUT /predictions/{id}"), ("Prefer",)),
}
_SENT_BY = {"POST /score": ("X-Ms-Request-Id",), "POST /v2/models/{model}/infer": (_LENGTH,)}


def parameters(key: str, *, predicts: bool) -> list[dict[str, Any]]:
    """Of an operation, by its method and path."""
    names = (_CLIENT_ID, _ID, _TRACE, *((_TIMEOUT,) if predicts else ()), *_READ_BY.get(key, ()))
    return [_reference("parameters", name) for name in names]


def of_answer(key: str, status: int, *, predicts: bool) -> dict[str, Any]:
    """Of what an operation answers with a status that is no problem's."""
    first = ("Server-Timing", _ATTRIBUTES) if predicts and status == 200 else ()
    return _told(_ID, *first, *(_SENT_BY.get(key, ()) if status == 200 else ()))


def of_problem(status: int) -> dict[str, Any]:
    """Of a problem with this status."""
    if status == 409:
        # Where a place will be free, and not where an id is taken.
        return {**_told(_ID), "Retry-After": {**_header("Retry-After"), "required": False}}
    return _told(_ID, *{405: ("Allow",), 503: ("Retry-After",)}.get(status, ()))


def components() -> dict[str, Any]:
    """What the references of the other functions lead to."""
    read = {name: {"name": name, "in": "header", "description": says, "schema": schema} for name, (says, schema) in _READ.items()}
    return {"parameters": read, "headers": {name: _header(name) for name in _SENT}}


def _header(name: str) -> dict[str, Any]:
    says, schema, always = _SENT[name]
    return {"description": says, "required": always, "schema": schema}


def _told(*names: str) -> dict[str, Any]:
    return {name: _reference("headers", name) for name in names}


def _reference(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{name}"}
