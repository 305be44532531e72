"""Hugging Face's contract, as Inference Endpoints and `huggingface_hub.InferenceClient` have it: the bare outputs of a pipeline.

Some shapes are the hosted API's and not the pipeline's: labels of texts come in a list for each text, all of them unless `top_k` says
otherwise, the caller's own labels with their scores; `normalize`, `truncate` and `truncation_direction` stand beside `inputs`. A model of
one's own takes and gives the bare values.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from handlers.engines.manifest import Manifest
from handlers.functions import values, wording
from handlers.functions.problems import InputRefused, RequestProblem
from handlers.functions.requests import IMAGES, TEXTS, VALUES, PredictionRequest, decoded, of_kind, of_texts
from handlers.server.calls import Call
from handlers.server.contracts.fields import fields_of, object_in, one_of
from handlers.server.forms import Encoded, Form, Predicted, dumped
from handlers.tasks import CUSTOM, GENERATION

if TYPE_CHECKING:
    from handlers.tasks.continuing import Piece

Array = np.ndarray[Any, Any]
_NAME = "Hugging Face's contract"
_VECTORS = frozenset({"sentence-embedding"})
_BESIDE = ("normalize", "truncate", "truncation_direction")
# How JPEG and PNG begin, which no JSON does.
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG")
_COMPARED = ("source_sentence", "sentences")


def infer(call: Call, body: bytes) -> tuple[PredictionRequest, Form]:
    """What is asked, and how it is answered. Raises RequestProblem."""
    kind = call.service.kind
    # Its own client sends the bytes of an image without a word on what they are.
    content_type = "image/*" if call.content_type is None and kind in (IMAGES, None) and body.startswith(_IMAGES) else call.content_type
    if values.is_image(content_type):
        return call.service.parse(body, content_type), _FORM
    return translated(decoded(body, content_type), max_inputs=call.service.settings.max_inputs, kind=kind)


def translated(body: object, *, max_inputs: int, kind: str | None = TEXTS) -> tuple[PredictionRequest, Form]:
    """What is asked of a model that takes inputs of this `kind`, None while that is not known, and how it is answered. Raises
    InputRefused."""
    fields = fields_of(body, "The body", required=("inputs",), allowed=("parameters", "options", "stream", *_BESIDE))
    # Said by older clients: a model is always waited for, and no answer comes out of a cache.
    options = fields_of(object_in(fields, "options"), "'options'", required=(), allowed=("use_cache", "wait_for_model"))
    for name in options:
        one_of(options, name, (True, False))
    # What this server does in any case; the other choice is not on offer.
    one_of(fields, "truncate", (True,))
    one_of(fields, "truncation_direction", ("right", "Right"))
    normalize = one_of(fields, "normalize", (True, False))
    inputs, parameters = fields["inputs"], object_in(fields, "parameters")
    if isinstance(inputs, dict) and kind not in (VALUES, None):
        one_of(fields, "stream", (False,))
        return _comparison(inputs, parameters, max_inputs)
    if one_of(fields, "stream", (True, False)):
        return of_kind(kind, inputs, {**parameters, "details": True}, max_inputs=1), _STREAM
    request = of_kind(kind, inputs, parameters, max_inputs=max_inputs)
    if isinstance(inputs, dict) and kind is None and inputs.keys() == set(_COMPARED):
        return request, _comparison_or_value(inputs, parameters, max_inputs)
    if normalize is not None:
        return request, Form(f"{_NAME} with 'normalize'", lambda predicted: _normalized(predicted, normalize), _VECTORS)
    return request, _FORM


def _adapted(request: PredictionRequest, manifest: Manifest) -> PredictionRequest:
    if manifest.task == GENERATION:
        from handlers.server.contracts.generated import known

        return request._replace(parameters=known(request.parameters))
    if manifest.task != "text-classification" or "top_k" in request.parameters:
        return request
    return request._replace(parameters={**request.parameters, "top_k": None})


def _outputs(predicted: Predicted) -> Encoded:
    task, many, outputs = predicted.manifest.task, predicted.request.many, predicted.outputs
    if task == "zero-shot-classification":
        outputs = [_scored(each) for each in outputs] if many else _scored(outputs)
    if task == GENERATION:
        outputs = [[_written(each) for each in row] for row in outputs] if many else [_written(each) for each in outputs]
    return Encoded(dumped([outputs] if task == "text-classification" and not many else outputs))


def _scored(output: dict[str, Any]) -> list[dict[str, Any]]:
    """Labels with their scores, best first, where the pipeline has two lists."""
    return [{"label": label, "score": score} for label, score in zip(output["labels"], output["scores"], strict=True)]


_FORM = Form(_NAME, _outputs, adapt=_adapted)


def _written(output: dict[str, Any]) -> dict[str, Any]:
    """A text as Text Generation Inference answers it, with its `details` where they are asked for."""
    told = {"generated_text": output["generated_text"]}
    return told | ({"details": {**_details(output), "prefill": [], "tokens": output["tokens"]}} if "tokens" in output else {})


def _details(output: dict[str, Any]) -> dict[str, Any]:
    """There the token that ends a text is one of those that were generated (its `StoppingCriteria`); here it is no part of the text."""
    every = len(output["tokens"])
    reason = output["finish_reason"]
    if reason == "stop":
        reason = "eos_token" if every > output["generated_tokens"] else "stop_sequence"
    return {"finish_reason": reason, "generated_tokens": every, "seed": None}


def _event(piece: "Piece", manifest: Manifest) -> bytes:
    """One token; the last one with the whole text."""
    from handlers.server.contracts.generated import event

    output = piece.output
    details = None if output is None else {**_details(output), "input_length": output["prompt_tokens"]}
    return event({"index": piece.place, "token": piece.details, "generated_text": output and output["generated_text"], "details": details})


def _broken(problem: RequestProblem) -> bytes:
    from handlers.server.contracts.generated import event

    return event({"error": problem.detail, "error_type": "generation"})


_STREAM = Form(
    f"{_NAME} with 'stream'",
    lambda predicted: Encoded(b""),
    frozenset({GENERATION}),
    adapt=_adapted,
    piece=_event,
    broken=_broken,
)


def _normalized(predicted: Predicted, wanted: bool) -> Encoded:
    if predicted.manifest.normalize and not wanted:
        raise InputRefused("'normalize' is false, and this model's vectors have length 1: leave it out.")
    vectors = np.asarray(predicted.outputs, dtype=np.float32)
    return Encoded(dumped(vectors / _lengths(vectors) if wanted else vectors))


def _comparison(inputs: object, parameters: dict[str, Any], max_inputs: int) -> tuple[PredictionRequest, Form]:
    """Task `sentence-similarity` of the client: the cosines of one sentence and others."""
    fields = fields_of(inputs, "'inputs'", required=_COMPARED)
    source = of_texts(fields["source_sentence"], {}, max_inputs=1, name="inputs.source_sentence")
    if not isinstance(fields["sentences"], list):
        raise InputRefused(f"'inputs.sentences' is {wording.kind(fields['sentences'])}: send a list of texts.")
    others = of_texts(fields["sentences"], {}, max_inputs=max_inputs - 1, name="inputs.sentences")
    request = PredictionRequest((*source.texts, *others.texts), True, parameters)
    return request, Form(f"{_NAME} with 'source_sentence'", _cosines, _VECTORS)


def _comparison_or_value(inputs: object, parameters: dict[str, Any], max_inputs: int) -> Form:
    """The form of one that comes before the model is here: to one of one's own it is an input as any other."""

    def adapt(request: PredictionRequest, manifest: Manifest) -> PredictionRequest:
        return request if manifest.task == CUSTOM else _comparison(inputs, parameters, max_inputs)[0]

    def encode(predicted: Predicted) -> Encoded:
        return _outputs(predicted) if predicted.manifest.task == CUSTOM else _cosines(predicted)

    return Form(f"{_NAME} with 'source_sentence'", encode, _VECTORS | {CUSTOM}, adapt=adapt)


def _cosines(predicted: Predicted) -> Encoded:
    vectors = np.asarray(predicted.outputs, dtype=np.float32)
    source, *others = vectors / _lengths(vectors)
    return Encoded(dumped([float(source @ other) for other in others]))


def _lengths(vectors: Array) -> Array:
    # Below this a vector has no direction; as handlers/tasks/sentence_embedding.py has it.
    lengths: Array = np.maximum(np.sqrt(np.square(vectors).sum(axis=-1, keepdims=True)), np.float32(1e-12))
    return lengths
