"""OpenAI's contract for embeddings, with the list of models that its clients ask for."""

import base64
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import orjson

from handlers.functions.problems import InputRefused, NotReady
from handlers.functions.requests import PredictionRequest, decoded, of_texts
from handlers.functions.wording import kind
from handlers.server.calls import Call
from handlers.server.contracts.fields import fields_of, one_of
from handlers.server.forms import Encoded, Form, Predicted, check_name, dumped, model_name
from handlers.server.service import Answer, Service

_JSON = {"content-type": "application/json"}


@runtime_checkable
class CountsTokens(Protocol):
    """A model that tells how many tokens it computes for some texts."""

    def tokens(self, texts: Sequence[str]) -> int: ...


def embeddings(call: Call, body: bytes) -> tuple[PredictionRequest, Form]:
    """What is asked, and how it is answered. Raises RequestProblem."""
    return translated(decoded(body, call.content_type), max_inputs=call.service.settings.max_inputs)


async def models(call: Call) -> Answer:
    """Raises NotReady."""
    return Answer(200, _JSON, orjson.dumps({"object": "list", "data": [_described(call.service)]}))


async def model(call: Call) -> Answer:
    """Raises NotReady, ModelUnknown."""
    described = _described(call.service)
    assert call.service.manifest is not None  # it is described
    check_name(call.names["model"], call.service.manifest)
    return Answer(200, _JSON, orjson.dumps(described))


def translated(body: object, *, max_inputs: int) -> tuple[PredictionRequest, Form]:
    """What is asked, and how it is answered. Raises InputRefused."""
    fields = fields_of(body, "The body", required=("input", "model"), allowed=("encoding_format", "dimensions", "user"))
    wanted, name, dimensions = fields["input"], fields["model"], fields.get("dimensions")
    if not isinstance(name, str):
        raise InputRefused(f"'model' is {kind(name)}: send the model's name, as GET /v1/models tells it.")
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], int | list):
        raise InputRefused("'input' holds numbers: tokens are each model's own, send the texts.")
    if dimensions is not None and (not isinstance(dimensions, int) or isinstance(dimensions, bool)):
        raise InputRefused(f"'dimensions' is {kind(dimensions)}: send a whole number or leave it out.")
    encoded = one_of(fields, "encoding_format", ("float", "base64")) == "base64"
    request = of_texts(wanted, {}, max_inputs=max_inputs, name="input")
    form = Form("POST /v1/embeddings", lambda predicted: _list(predicted, encoded, dimensions), model=name)
    return request, form


def _list(predicted: Predicted, encoded: bool, dimensions: int | None) -> Encoded:
    vectors = predicted.outputs if predicted.request.many else [predicted.outputs]
    if dimensions not in (None, size := len(vectors[0])):
        raise InputRefused(f"'dimensions' is {dimensions}: this model's vectors have {size}, leave it out.")
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if encoded else vector} for index, vector in enumerate(vectors)
    ]
    answer: dict[str, Any] = {"object": "list", "data": data, "model": model_name(predicted.manifest)}
    if isinstance(predicted.model, CountsTokens):
        count = predicted.model.tokens(predicted.request.texts)
        answer["usage"] = {"prompt_tokens": count, "total_tokens": count}
    return Encoded(dumped(answer))


def _base64(vector: Any) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def _described(service: Service) -> dict[str, Any]:
    if service.manifest is None or not service.worker.ready:
        raise NotReady("The model is being loaded.", retry_after_s=1)
    return {"id": model_name(service.manifest), "object": "model", "created": int(service.began_at), "owned_by": "pilotlight"}
