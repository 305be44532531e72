"""What the bytes of an object mean as inputs of the model. Pure; the event function and the model server read with it."""

import json
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from handlers.functions import requests, values
from handlers.functions.outcomes import Refused
from handlers.functions.problems import RequestProblem

_JSON_LINES = {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines"}
# What an upload without a content type is stored as (S3 user guide, "Working with object metadata": binary/octet-stream).
_UNKNOWN = {"", "binary/octet-stream", "application/octet-stream"}
_IMAGE_NAMES = {"jpg", "jpeg", "png"}
_UTF_8 = {"", "utf-8", "utf8", "us-ascii"}


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an object and the content type that it is stored with, None where it has none."""

    body: bytes
    content_type: str | None


@dataclass(frozen=True, slots=True)
class ObjectInputs:
    """`texts` in the object's order; `many` tells a list of one text from a single text, since their results differ."""

    texts: tuple[Any, ...]
    many: bool
    parameters: dict[str, Any]


def read(content: Content, key: str, kind: str | None = requests.TEXTS) -> ObjectInputs:
    """The inputs in an object: JSON by type or name is a request's body, a list of texts or a text; JSON lines one input each.

    `kind` is what the task takes (`requests.takes`), None while that is not known. An image, where images are taken, is its base64.
    Anything else is one text. Raises Refused with what came and what is read.
    """
    essence, charset = _media_type(content.content_type)
    suffix = key.lower().rpartition(".")[2] if "." in key else ""
    if kind in (requests.IMAGES, None) and (essence.startswith("image/") or (essence in _UNKNOWN and suffix in _IMAGE_NAMES)):
        return ObjectInputs((values.in_base64(content.body),), False, {})
    if charset not in _UTF_8:
        raise Refused(f"The object's charset is {charset[:40]!r}: store it in UTF-8.")
    text = _decoded(content.body)
    if essence in _JSON_LINES or suffix in ("jsonl", "ndjson"):
        return _lines(text, kind)
    if essence == "application/json" or essence.endswith("+json") or (essence in _UNKNOWN and suffix == "json"):
        return _inputs(_json(text, "The object"), "The object", kind)
    return ObjectInputs((text,), False, {})


def _media_type(content_type: str | None) -> tuple[str, str]:
    essence, *options = (part.strip().lower() for part in (content_type or "").split(";"))
    charset = next((option.removeprefix("charset=").strip('"') for option in options if option.startswith("charset=")), "")
    return essence, charset


def _decoded(body: bytes) -> str:
    try:
        # With the mark that editors on Windows put in front, which is no part of the text.
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"The object is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}.") from error


def _json(text: str, where: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise Refused(f"{where} is JSON that is nested too deeply.") from error
    except ValueError as error:
        raise Refused(f"{where} is not JSON: {error}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _inputs(value: object, where: str, kind: str | None) -> ObjectInputs:
    """A request's body, or what its `inputs` may be, without the limit on their number: that is the limit of a request."""
    # A value of a model of one's own may be an object itself.
    is_body = isinstance(value, dict) and (kind == requests.TEXTS or "inputs" in value)
    try:
        asked = requests.from_value(value if is_body else {"inputs": value}, max_inputs=sys.maxsize, kind=kind)
    except RequestProblem as problem:
        raise Refused(f"{where} is read as a request: {problem.detail}") from problem
    return ObjectInputs(asked.texts, asked.many, asked.parameters)


def _lines(text: str, kind: str | None) -> ObjectInputs:
    """One input a line: a JSON text, or an object with `inputs`. Blank lines count for nothing."""
    texts: list[Any] = []
    # Not splitlines: a JSON text may hold the other line ends of Unicode as they are.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"Line {number} of the object"
        value = _inputs(_json(line, where), where, kind)
        if value.many or value.parameters:
            raise Refused(f'{where} is not one input: write a JSON text or {{"inputs": "text"}}.')
        texts += value.texts
    if not texts:
        raise Refused("The object has no line with an input.")
    return ObjectInputs(tuple(texts), True, {})
