"""From the bytes of a body to a checked request. The function and the model server read bodies with this one reader."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from handlers.functions.problems import InputRefused, MalformedBody, MediaTypeUnsupported

FUNCTIONS_TO_APPLY = ("softmax", "sigmoid", "none")


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """`texts` as sent, in order; `many` tells a list of one text from a single text, since their answers differ.

    With a `uri` the inputs are in the object of that address, and `texts` is empty until it is fetched.
    """

    texts: tuple[str, ...]
    many: bool
    parameters: dict[str, Any]
    uri: str | None = None


def parse(body: bytes, content_type: str | None, *, max_inputs: int, references: bool = False) -> PredictionRequest:
    """Read `{"inputs": "text" | ["text", …], "parameters": {…}}`, with `references` also `{"inputs": {"uri": …}}`.

    Raises MediaTypeUnsupported for a body that is not UTF-8 JSON by its content type (none means JSON), MalformedBody for
    bytes that are not, InputRefused for JSON that is something else.
    """
    _check_media_type(content_type)
    return from_value(_decode(body), max_inputs=max_inputs, references=references)


def from_value(value: object, *, max_inputs: int, references: bool = False) -> PredictionRequest:
    """The same for a body that is decoded already (a bare Lambda payload). Raises InputRefused."""
    if not isinstance(value, dict):
        raise InputRefused(f"The body is {_kind(value)}: send an object with 'inputs'.")
    unknown = sorted(str(key) for key in value.keys() - {"inputs", "parameters"})
    if unknown:
        raise InputRefused(f"The body has {_clipped(', '.join(unknown))}: allowed are 'inputs' and 'parameters'.")
    if "inputs" not in value:
        raise InputRefused("The body has no 'inputs': send a text or a list of texts.")
    inputs = value["inputs"]
    parameters = value.get("parameters")
    if not isinstance(parameters, dict | None):
        raise InputRefused(f"'parameters' is {_kind(parameters)}: send an object or leave it out.")
    if references and isinstance(inputs, dict):
        return PredictionRequest((), False, parameters or {}, _uri(inputs))
    many = isinstance(inputs, list)
    texts = tuple(_text(item, f"inputs[{index}]" if many else "inputs") for index, item in enumerate(inputs if many else [inputs]))
    if not 1 <= len(texts) <= max_inputs:
        raise InputRefused(f"'inputs' has {len(texts)} texts: send 1 to {max_inputs}.")
    return PredictionRequest(texts, many, parameters or {})


def check_parameters(task: str, parameters: dict[str, Any]) -> None:
    """Raises InputRefused when the task does not know a parameter or its value; `task` must be in PARAMETERS."""
    allowed = PARAMETERS[task]
    for name, value in parameters.items():
        if name not in allowed:
            known = f"allowed are {', '.join(sorted(allowed))}" if allowed else "this task takes none"
            raise InputRefused(f"parameters.{_clipped(name)} is not known for {task}: {known}.")
        allowed[name](value)


def _top_k(value: object) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InputRefused(f"parameters.top_k is {_clipped(json.dumps(value))}: use a whole number from 1 on, or null for every label.")


def _function_to_apply(value: object) -> None:
    if value not in FUNCTIONS_TO_APPLY:
        raise InputRefused(f"parameters.function_to_apply is {_clipped(json.dumps(value))}: use one of {', '.join(FUNCTIONS_TO_APPLY)}.")


# task -> parameter -> its check. A task that a model server can serve has a row here.
PARAMETERS: dict[str, dict[str, Callable[[object], None]]] = {
    "feature-extraction": {},
    "sentence-embedding": {},
    "text-classification": {"top_k": _top_k, "function_to_apply": _function_to_apply},
}


def _check_media_type(content_type: str | None) -> None:
    if not content_type:
        return
    essence, *options = (part.strip().lower() for part in content_type.split(";"))
    charset = next((option.removeprefix("charset=").strip('"') for option in options if option.startswith("charset=")), "utf-8")
    if (essence == "application/json" or essence.endswith("+json")) and charset in ("utf-8", "utf8", "us-ascii"):
        return
    raise MediaTypeUnsupported(f"Content-Type is {_clipped(content_type)}: send application/json in UTF-8.")


def _decode(body: bytes) -> object:
    try:
        # A parser of the standard library: 7 ms to import where the fast ones cost 20 to 50, and bodies are small.
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}.") from error
    except RecursionError as error:
        raise MalformedBody("The body is nested too deeply: 'inputs' is a text or a list of texts.") from error
    except ValueError as error:
        raise MalformedBody(f"The body is not JSON: {_clipped(str(error))}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _uri(inputs: dict[str, object]) -> str:
    uri = inputs.get("uri")
    if not isinstance(uri, str) or len(inputs) > 1:
        raise InputRefused('\'inputs\' is an object: send a text, a list of texts or {"uri": "…"} with nothing beside it.')
    return uri


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InputRefused(f"'{where}' is {_kind(value)}: send a text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputRefused(f"'{where}' has half of a surrogate pair at character {error.start}: send whole characters.") from error
    return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _clipped(text: str) -> str:
    """At most 80 characters of what a client sent, printable, so that no answer or log line echoes a whole body."""
    return ascii(text if len(text) <= 80 else text[:80] + "…")[1:-1]
