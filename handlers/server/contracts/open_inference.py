"""Open Inference Protocol v2 over REST, as KServe and Triton have it, with the extension of binary tensors.

A model has one input, the texts, and the outputs of its task (tensors.py). Its only version is 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from handlers.engines.manifest import Manifest
from handlers.functions.problems import InputRefused, ModelUnknown, NotReady
from handlers.functions.requests import PredictionRequest, decoded
from handlers.functions.wording import clipped, kind
from handlers.server.calls import Call
from handlers.server.contracts import CONTRACTS, tensors
from handlers.server.contracts.fields import fields_of, object_in, one_of, text_in
from handlers.server.forms import Encoded, Form, Predicted, check_name, check_task, dumped, model_name
from handlers.server.service import Answer

_NAME = "Open Inference Protocol v2"
HEADER_LENGTH = "inference-header-content-length"
VERSION = "1"
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The outputs to send, each with whether it is wanted in binary; empty: all of them, `binary` or not."""

    request_id: str | None
    outputs: Mapping[str, bool]
    binary: bool


async def server(call: Call) -> Answer:
    """What this server is."""
    return Answer(200, _JSON, orjson.dumps({"name": "pilotlight", "version": "1", "extensions": ["binary_tensor_data"]}))


async def live(call: Call) -> Answer:
    """That this server is there."""
    return Answer(200, _JSON, b'{"live":true}')


async def ready(call: Call) -> Answer:
    """Raises NotReady."""
    _manifest(call)
    return Answer(200, _JSON, b'{"ready":true}')


async def model_ready(call: Call) -> Answer:
    """Raises NotReady, ModelUnknown."""
    return Answer(200, _JSON, orjson.dumps({"name": model_name(_model(call)), "ready": True}))


async def metadata(call: Call) -> Answer:
    """Raises NotReady, ModelUnknown, TaskMismatch for a model that this contract has no tensors for."""
    manifest = _model(call)
    check_task(_NAME, CONTRACTS["open_inference"].tasks, manifest)
    told: dict[str, Any] = {"name": model_name(manifest), "versions": [VERSION], "platform": manifest.engine}
    told["inputs"] = [{"name": tensors.INPUT, "datatype": "BYTES", "shape": [-1]}]
    told["outputs"] = [
        {"name": name, "datatype": datatype, "shape": shape} for name, (datatype, shape) in tensors.outputs_of(manifest.task).items()
    ]
    return Answer(200, _JSON, orjson.dumps(told))


def infer(call: Call, body: bytes) -> tuple[PredictionRequest, Form]:
    """What is asked, and how it is answered. Raises RequestProblem."""
    _check_version(call)
    request, wanted = translated(body, call.headers, max_inputs=call.service.settings.max_inputs)
    return request, Form(_NAME, partial(_encoded, wanted), model=call.names["model"], adapt=partial(_adapted, wanted))


def translated(body: bytes, headers: Mapping[str, str], *, max_inputs: int) -> tuple[PredictionRequest, Wanted]:
    """What is asked, and which outputs are wanted. Raises MediaTypeUnsupported, MalformedBody, InputRefused."""
    length = _header_length(headers.get(HEADER_LENGTH), len(body))
    content_type = headers.get("content-type") if length is None else "application/json"
    value = decoded(body[:length], content_type)
    fields = fields_of(value, "The body", required=("inputs",), allowed=("id", "parameters", "outputs"))
    parameters = dict(object_in(fields, "parameters"))
    binary = one_of(parameters, "binary_data_output", (True, False)) or False
    parameters.pop("binary_data_output", None)
    tail = b"" if length is None else body[length:]
    texts = tensors.texts(fields["inputs"], tail, max_inputs)
    return PredictionRequest(texts, True, parameters), Wanted(text_in(fields, "id"), _outputs(fields.get("outputs"), binary), binary)


def _header_length(value: str | None, most: int) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 15 and int(value) <= most):
        raise InputRefused(f"Inference-Header-Content-Length is {clipped(value)}: send how many of the body's {most} bytes are JSON.")
    return int(value)


def _outputs(value: object, binary: bool) -> dict[str, bool]:
    if not isinstance(value, list | None):
        raise InputRefused(f"'outputs' is {kind(value)}: send a list or leave it out.")
    found: dict[str, bool] = {}
    for index, output in enumerate(value or []):
        fields = fields_of(output, f"'outputs[{index}]'", required=("name",), allowed=("parameters",))
        if not isinstance(fields["name"], str):
            raise InputRefused(f"'outputs[{index}].name' is {kind(fields['name'])}: send a text.")
        asked = fields_of(object_in(fields, "parameters"), f"'outputs[{index}].parameters'", required=(), allowed=("binary_data",))
        as_binary = one_of(asked, "binary_data", (True, False))
        found[fields["name"]] = binary if as_binary is None else as_binary
    return found


def _adapted(wanted: Wanted, request: PredictionRequest, manifest: Manifest) -> PredictionRequest:
    there = tensors.outputs_of(manifest.task)
    if unknown := sorted(wanted.outputs.keys() - there.keys()):
        raise InputRefused(f"'outputs' names {clipped(', '.join(unknown))}: this model has {', '.join(there)}.")
    return request


def _encoded(wanted: Wanted, predicted: Predicted) -> Encoded:
    made = tensors.made(predicted)
    told: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for name, binary in (wanted.outputs or dict.fromkeys(made, wanted.binary)).items():
        tensor = made[name]
        described: dict[str, Any] = {"name": name, "datatype": tensor.datatype, "shape": tensor.shape}
        if binary:
            tail.append(tensor.binary())
            described["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            described["data"] = tensor.data
        told.append(described)
    answer = {"model_name": model_name(predicted.manifest), "model_version": VERSION, "outputs": told}
    head = dumped(answer if wanted.request_id is None else {"id": wanted.request_id, **answer})
    if not tail:
        return Encoded(head)
    return Encoded(b"".join((head, *tail)), "application/octet-stream", {HEADER_LENGTH: str(len(head))})


def _manifest(call: Call) -> Manifest:
    if call.service.manifest is None or not call.service.worker.ready:
        raise NotReady("The model is being loaded.", retry_after_s=1)
    return call.service.manifest


def _model(call: Call) -> Manifest:
    _check_version(call)
    manifest = _manifest(call)
    check_name(call.names["model"], manifest)
    return manifest


def _check_version(call: Call) -> None:
    if call.names.get("version", VERSION) != VERSION:
        raise ModelUnknown(f"The model has one version, {VERSION}.")
