"""From the bytes of a body to a checked request. The function and the model server read bodies with this one reader."""

import json
from collections.abc import Callable
from contextlib import suppress
from json.scanner import make_scanner
from typing import Any, NamedTuple, NoReturn

from handlers.functions import values
from handlers.functions.parameters import PARAMETERS, REQUIRED
from handlers.functions.problems import InputRefused, MalformedBody, MediaTypeUnsupported
from handlers.functions.wording import clipped as _clipped
from handlers.functions.wording import kind as _kind

_MEMBERS = {"inputs", "parameters"}
# What a task's inputs are: texts, but for these.
TEXTS, IMAGES, VALUES = "texts", "images", "values"
# What `decode_by` was given, and what stands for a body that it did not read.
_faster: list[Callable[[bytes], Any]] = []
_NOT_READ = object()
# A body without 19 digits in a row has no whole number of more than 64 bits.
_AS_ZEROS, _LONG_NUMBER = bytes.maketrans(b"123456789", b"0" * 9), b"0" * 19
_TAKES = {"image-classification": IMAGES, "custom": VALUES}


class PredictionRequest(NamedTuple):
    """`texts` as sent, in order; `many` tells a list of one text from a single text, since their answers differ.

    An image is its base64 or, sent as a body of its own, its bytes; a model of one's own is sent any JSON value.
    With a `uri` the inputs are in the object of that address, and `texts` is empty until it is fetched.
    """

    texts: tuple[Any, ...]
    many: bool
    parameters: dict[str, Any]
    uri: str | None = None


def decode_by(decode: Callable[[bytes], Any]) -> None:
    """Read JSON by this from now on where it can: what it gives must be what the standard library's parser gives, without an infinite
    number or half a character in it. What it raises anything for is read as before, which says what is wrong."""
    _faster[:] = [decode]


def takes(task: str) -> str:
    """What the inputs of a task are."""
    return _TAKES.get(task, TEXTS)


def parse(
    body: bytes, content_type: str | None, *, max_inputs: int, references: bool = False, kind: str | None = TEXTS
) -> PredictionRequest:
    """Read `{"inputs": "text" | ["text", …], "parameters": {…}}`, with `references` also `{"inputs": {"uri": …}}`.

    `kind` is what the task takes, None while that is not known: then anything is read, and `check` tells later.
    Raises MediaTypeUnsupported for a body that is not UTF-8 JSON by its content type (none means JSON) nor an image where images are
    taken, MalformedBody for bytes that are not, InputRefused for JSON that is something else.
    """
    if kind in (IMAGES, None) and values.is_image(content_type):
        return PredictionRequest((body,), False, {})
    sound = False
    if content_type != "application/json":
        value = decoded(body, content_type)
    elif (value := _decoded_faster(body)) is _NOT_READ:
        value = _decode(body)
    else:
        # Nothing can be nested more deeply than there are beginnings.
        nested = body.count(b"[") + body.count(b"{") > values.MOST_NESTED
        sound = not nested and _LONG_NUMBER not in body.translate(_AS_ZEROS)
    return from_value(value, max_inputs=max_inputs, references=references, kind=kind, sound=sound)


def decoded(body: bytes, content_type: str | None) -> object:
    """The JSON of a body. Raises MediaTypeUnsupported, MalformedBody."""
    _check_media_type(content_type)
    return _decode(body)


def from_value(
    value: object, *, max_inputs: int, references: bool = False, kind: str | None = TEXTS, sound: bool = False
) -> PredictionRequest:
    """The same for a body that is decoded already (a bare Lambda payload); what is known to be `sound` is not looked through for what can't
    be handed on. Raises InputRefused."""
    if not isinstance(value, dict):
        raise InputRefused(f"The body is {_kind(value)}: send an object with 'inputs'.")
    if not value.keys() <= _MEMBERS:
        unknown = sorted(str(key) for key in value.keys() - _MEMBERS)
        raise InputRefused(f"The body has {_clipped(', '.join(unknown))}: allowed are 'inputs' and 'parameters'.")
    if "inputs" not in value:
        raise InputRefused("The body has no 'inputs': send a text or a list of texts.")
    inputs = value["inputs"]
    parameters = value.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise InputRefused(f"'parameters' is {_kind(parameters)}: send an object or leave it out.")
    if references and isinstance(inputs, dict) and not (kind in (VALUES, None) and inputs.keys() != {"uri"}):
        return PredictionRequest((), False, parameters or {}, _uri(inputs))
    return of_kind(kind, inputs, parameters or {}, max_inputs=max_inputs, sound=sound)


def of_kind(
    kind: str | None, inputs: object, parameters: dict[str, Any], *, max_inputs: int, name: str = "inputs", sound: bool = False
) -> PredictionRequest:
    """A request of what a task takes, which the client calls `name`; of anything while that is not known. Raises InputRefused."""
    if kind in (VALUES, None):
        return of_values(inputs, parameters, max_inputs=max_inputs, name=name, sound=sound)
    return of_texts(inputs, parameters, max_inputs=max_inputs, name=name)


def of_texts(inputs: object, parameters: dict[str, Any], *, max_inputs: int, name: str = "inputs") -> PredictionRequest:
    """A request of a text or a list of texts, which the client calls `name`. Raises InputRefused."""
    many = isinstance(inputs, list)
    items: list[object] = inputs if isinstance(inputs, list) else [inputs]
    if not 1 <= len(items) <= max_inputs:
        raise InputRefused(f"'{name}' has {len(items)} texts: send 1 to {max_inputs}.")
    texts = tuple(_text(item, f"{name}[{index}]" if many else name) for index, item in enumerate(items))
    return PredictionRequest(texts, many, parameters)


def of_values(
    inputs: object, parameters: dict[str, Any], *, max_inputs: int, name: str = "inputs", sound: bool = False
) -> PredictionRequest:
    """A request of a JSON value or a list of them, which the client calls `name`. Raises InputRefused."""
    many = isinstance(inputs, list)
    items: list[object] = inputs if isinstance(inputs, list) else [inputs]
    if not 1 <= len(items) <= max_inputs:
        raise InputRefused(f"'{name}' has {len(items)} inputs: send 1 to {max_inputs}.")
    if not sound:
        for index, item in enumerate(items):
            values.check(item, f"{name}[{index}]" if many else name)
    return PredictionRequest(tuple(items), many, parameters)


def check(task: str, request: PredictionRequest) -> None:
    """Inputs and parameters against the task, for what was read before the task was known.

    Raises MediaTypeUnsupported for an image where none is taken, InputRefused.
    """
    kind = takes(task)
    for index, item in enumerate(request.texts):
        if isinstance(item, bytes):
            if kind != IMAGES:
                raise MediaTypeUnsupported(f"Content-Type is that of an image, the model's task is {task}: send application/json in UTF-8.")
        elif kind != VALUES:
            _text(item, f"inputs[{index}]" if request.many else "inputs")
    check_parameters(task, request.parameters)


def check_parameters(task: str, parameters: dict[str, Any]) -> None:
    """Raises InputRefused when the task does not know a parameter or its value, or lacks one; `task` must be in PARAMETERS."""
    allowed = PARAMETERS[task]
    if allowed is None:
        if parameters:
            values.check(parameters, "parameters")
        return
    for name, value in parameters.items():
        if name not in allowed:
            known = f"allowed are {', '.join(sorted(allowed))}" if allowed else "this task takes none"
            raise InputRefused(f"parameters.{_clipped(name)} is not known for {task}: {known}.")
        allowed[name](value)
    for name in REQUIRED.get(task, ()):
        if name not in parameters:
            raise InputRefused(f"parameters.{name} is missing: {task} needs it.")


def _check_media_type(content_type: str | None) -> None:
    if not content_type:
        return
    essence, *options = (part.strip().lower() for part in content_type.split(";"))
    charset = next((option.removeprefix("charset=").strip('"') for option in options if option.startswith("charset=")), "utf-8")
    if (essence == "application/json" or essence.endswith("+json")) and charset in ("utf-8", "utf8", "us-ascii"):
        return
    raise MediaTypeUnsupported(f"Content-Type is {_clipped(content_type)}: send application/json in UTF-8.")


def _decoded_faster(body: bytes) -> object:
    try:
        return _faster[0](body) if _faster else _NOT_READ
    except Exception:  # noqa: BLE001  (whatever it is, the other parser reads the same bytes and says what is wrong with them)
        return _NOT_READ


def _decode(body: bytes) -> object:
    try:
        text = body.decode()
        with suppress(StopIteration):
            # What its `decode` does besides is to look for spaces before and behind the value, and to say what is wrong.
            value, end = _SCAN(text, 0)
            if end == len(text):
                return value
        return _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}.") from error
    except RecursionError as error:
        raise MalformedBody("The body is nested too deeply: 'inputs' is a text or a list of texts.") from error
    except ValueError as error:
        raise MalformedBody(f"The body is not JSON: {_clipped(str(error))}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


# A parser of the standard library: 7 ms to import where the fast ones cost 20 to 50, and bodies are small.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_SCAN = make_scanner(_DECODER)  # type: ignore[arg-type]  # the decoder itself calls it so


def _uri(inputs: dict[str, object]) -> str:
    uri = inputs.get("uri")
    if not isinstance(uri, str) or len(inputs) > 1:
        raise InputRefused('\'inputs\' is an object: send a text, a list of texts or {"uri": "…"} with nothing beside it.')
    return uri


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InputRefused(f"'{where}' is {_kind(value)}: send a text.")
    values.check_text(value, where)
    return value
