"""The schemas of the description: what each contract takes and answers."""

from collections.abc import Iterable, Mapping
from typing import Any

from handlers.functions.parameters import MOST_STOP_CHARACTERS, MOST_STOPS
from handlers.server.contracts.cog_predictions import EVENTS, ID
from handlers.server.contracts.tensors import INPUT
from handlers.settings import HandlerSettings

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_BOOLEAN = {"type": "boolean"}
_ANYTHING: dict[str, Any] = {}


def of(
    settings: HandlerSettings, parameters: Iterable[str] | None, own: Mapping[str, Any] | None, *, writes: bool = False
) -> dict[str, Any]:
    """Every schema by its name; `parameters` are those of the model's task, None while it loads; `own` is a model of one's own, `writes`
    tells one that writes texts."""
    texts = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": settings.max_inputs}
    known: dict[str, Any] = {"type": "object", "default": {}}
    if parameters is not None:
        known |= {"properties": dict.fromkeys(parameters, _ANYTHING), "additionalProperties": False}
    references = [_object({"uri": _TEXT}, "uri")] if settings.inputs_uri is not None else []
    inputs = {"oneOf": [_TEXT, texts]}
    found = {
        "Request": _object({"inputs": {"oneOf": [_TEXT, texts, *references]}, "parameters": known}, "inputs"),
        "Answer": _open({"outputs": _ANYTHING}, "outputs"),
        "Outputs": {"description": "What the model's task answers, with nothing around it."},
        "Problem": _open({**dict.fromkeys(("type", "title", "detail", "instance"), _TEXT), "status": _WHOLE}),
        "HuggingFaceRequest": _hugging_face(inputs, texts, known, _BOOLEAN if writes else {"const": False}),
        **_openai(inputs),
        **_openai_texts(inputs),
        **_open_inference(known, settings.max_inputs),
        "ScoreRequest": {"oneOf": [_object({"inputs": inputs, "parameters": known}, "inputs"), _mlflow(texts, known)]},
        **_cog(inputs, known, webhooks=settings.webhooks_uri is not None),
    }
    return found if own is None else _own(found, own, settings.max_inputs)


def _own(schemas: dict[str, Any], own: Mapping[str, Any], most: int) -> dict[str, Any]:
    """The same with what a model of one's own takes and gives."""
    several = {"type": "array", "items": own["input"], "minItems": 1, "maxItems": most}
    inputs = {"anyOf": [own["input"], several], "examples": [own["example"]]}
    outputs = [own["output"], {"type": "array", "items": own["output"]}]
    parameters = own["parameters"] or {"type": "object", "maxProperties": 0}
    asked = _object({"inputs": inputs, "parameters": parameters}, "inputs")
    beside = schemas["HuggingFaceRequest"]
    # With the names of the columns a row is an object: of which values these are to be a schema of rows can't tell.
    table = _object(
        {"columns": {"type": "array", "items": _TEXT, "uniqueItems": True}, "index": _ANYTHING, "data": {**several, "items": _ANYTHING}},
        "data",
    )
    scored = _object({"input_data": {"oneOf": [several, table]}, "params": parameters}, "input_data")
    components: dict[str, Any] = own["components"]
    return {
        **schemas,
        "Request": asked,
        "Answer": _open({"outputs": {"anyOf": outputs}}, "outputs"),
        "HuggingFaceRequest": {**beside, "properties": {**beside["properties"], **asked["properties"]}},
        "ScoreRequest": {"oneOf": [asked, scored]},
        "Outputs": {**schemas["Outputs"], "anyOf": outputs},
        "Input": _beside(inputs, own["parameters"], components),
        "Output": {"anyOf": [*outputs, {"type": "null"}]},
        **components,
    }


def _beside(inputs: dict[str, Any], parameters: Mapping[str, Any] | None, components: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the inputs of a model of one's own, and its parameters beside them."""
    if parameters is None:
        return {**_open({"inputs": inputs}), "additionalProperties": False}
    told = components.get(str(parameters.get("$ref")).rpartition("/")[2], parameters)
    return {
        "type": "object",
        "required": ["inputs", *told.get("required", ())],
        "properties": {**told.get("properties", {}), "inputs": inputs},
        "additionalProperties": told.get("additionalProperties", True),
    }


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object with these properties alone, of which those that may be absent may also be null."""
    told = {name: schema if name in required else {"anyOf": [schema, {"type": "null"}]} for name, schema in properties.items()}
    return {"type": "object", "required": list(required), "additionalProperties": False, "properties": told}


def _open(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object with these properties, all of them unless some are named, and perhaps others."""
    return {"type": "object", "required": list(required or properties), "properties": properties}


def _hugging_face(inputs: dict[str, Any], texts: dict[str, Any], known: dict[str, Any], stream: dict[str, Any]) -> dict[str, Any]:
    others = {**texts, "maxItems": texts["maxItems"] - 1}
    compared = _object({"source_sentence": _TEXT, "sentences": others}, "source_sentence", "sentences")
    options = _object(dict.fromkeys(("use_cache", "wait_for_model"), _BOOLEAN))
    beside = {"normalize": _BOOLEAN, "truncate": {"const": True}, "truncation_direction": {"enum": ["right", "Right"]}}
    asked = {"inputs": {"oneOf": [*inputs["oneOf"], compared]}, "parameters": known, "options": options, "stream": stream, **beside}
    return _object(asked, "inputs")


def _openai(inputs: dict[str, Any]) -> dict[str, Any]:
    asked = {"input": inputs, "model": _TEXT, "encoding_format": {"enum": ["float", "base64"]}, "dimensions": _WHOLE, "user": _TEXT}
    vector = {"oneOf": [{"type": "array", "items": {"type": "number"}}, _TEXT]}
    embedding = _open({"object": {"const": "embedding"}, "index": _WHOLE, "embedding": vector})
    model = _open({"id": _TEXT, "object": {"const": "model"}, "created": _WHOLE, "owned_by": _TEXT})
    answer = {
        "object": {"const": "list"},
        "data": {"type": "array", "items": embedding},
        "model": _TEXT,
        "usage": _open(dict.fromkeys(("prompt_tokens", "total_tokens"), _WHOLE)),
    }
    return {
        "EmbeddingsRequest": _object(asked, "input", "model"),
        "Embeddings": _open(answer, "object", "data", "model"),
        "Model": model,
        "Models": _open({"object": {"const": "list"}, "data": {"type": "array", "items": model}}),
    }


def _openai_texts(inputs: dict[str, Any]) -> dict[str, Any]:
    absent, nothing = {"type": "null"}, {"type": "array", "maxItems": 0}
    each = {**_TEXT, "minLength": 1, "maxLength": MOST_STOP_CHARACTERS}
    stop = {"oneOf": [each, {"type": "array", "items": each, "maxItems": MOST_STOPS}]}
    said: dict[str, Any] = {
        "model": _TEXT,
        "temperature": {"type": "number", "minimum": 0, "maximum": 100},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
        "seed": {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
        "stop": stop,
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "stream": _BOOLEAN,
        "stream_options": _object({"include_usage": _BOOLEAN, "include_obfuscation": {"const": False}}),
        "user": _TEXT,
        "n": {"const": 1},
        "presence_penalty": {"const": 0},
        "frequency_penalty": {"const": 0},
        "logit_bias": {"type": "object", "maxProperties": 0},
        "store": {"const": False},
    }
    of_texts = {"prompt": inputs, "echo": _BOOLEAN, "best_of": {"const": 1}, "logprobs": absent, "suffix": absent}
    part = _object({"type": {"const": "text"}, "text": _TEXT}, "type", "text")
    message = {
        "role": {"enum": ["system", "developer", "user", "assistant"]},
        "content": {"oneOf": [_TEXT, {"type": "array", "items": part}]},
        "name": _TEXT,
        "annotations": nothing,
        **dict.fromkeys(("audio", "function_call", "refusal", "tool_calls"), absent),
    }
    of_chats = {
        "messages": {"type": "array", "items": _object(message, "role", "content"), "minItems": 1, "maxItems": 1000},
        "max_completion_tokens": said["max_tokens"],
        "response_format": _object({"type": {"const": "text"}}, "type"),
        "logprobs": {"const": False},
        "modalities": {"const": ["text"]},
        "parallel_tool_calls": _BOOLEAN,
        "service_tier": {"enum": ["auto", "default"]},
        "tools": nothing,
        **dict.fromkeys(("top_logprobs", "metadata", "reasoning_effort", "tool_choice"), absent),
    }
    answer = {
        **dict.fromkeys(("id", "object", "model"), _TEXT),
        "created": _WHOLE,
        "choices": {"type": "array", "items": _open({"index": _WHOLE, "finish_reason": {"enum": ["stop", "length"]}})},
        "usage": _open(dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), _WHOLE)),
    }
    return {
        "CompletionsRequest": _object({**said, **of_texts}, "model", "prompt"),
        "ChatRequest": _object({**said, **of_chats}, "model", "messages"),
        "Completion": _open(answer),
    }


def _open_inference(known: dict[str, Any], most: int) -> dict[str, Any]:
    shape = {"type": "array", "items": _WHOLE}
    tensor = {"name": _TEXT, "datatype": _TEXT, "shape": shape, "parameters": {"type": "object"}, "data": {"type": "array"}}
    count = {"type": "integer", "minimum": 1, "maximum": most}
    given = {**tensor, "name": {"const": INPUT}, "datatype": {"const": "BYTES"}}
    given["shape"] = {"type": "array", "prefixItems": [count, {"const": 1}], "items": False, "minItems": 1}
    wanted = _object({"name": _TEXT, "parameters": {"type": "object"}}, "name")
    declared = {"type": "array", "items": _open({"name": _TEXT, "datatype": _TEXT, "shape": shape})}
    request = {
        "id": _TEXT,
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": _object(given, "name", "datatype", "shape"), "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": wanted},
    }
    answer: dict[str, Any] = {"id": _TEXT, "model_name": _TEXT, "model_version": _TEXT}
    answer["outputs"] = {"type": "array", "items": _open(tensor, "name", "datatype", "shape")}
    return {
        "Server": _open({"name": _TEXT, "version": _TEXT, "extensions": {"type": "array", "items": _TEXT}}),
        "ModelMetadata": _open(
            {"name": _TEXT, "versions": {"type": "array", "items": _TEXT}, "platform": _TEXT, "inputs": declared, "outputs": declared}
        ),
        "InferenceRequest": _object(request, "inputs"),
        "InferenceAnswer": _open(answer, "model_name", "outputs"),
    }


def _mlflow(texts: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    rows = {**texts, "items": {"oneOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1}]}}
    columns = {"not": {"type": "array", "minItems": 2}}
    table = _object({"columns": columns, "index": _ANYTHING, "data": rows}, "data")
    return _object({"input_data": {"oneOf": [rows, table]}, "params": known}, "input_data")


def _cog(inputs: dict[str, Any], known: dict[str, Any], *, webhooks: bool) -> dict[str, Any]:
    request = {
        # Cog's clients look for these two by their names.
        "input": {"$ref": "#/components/schemas/Input"},
        "id": {**_TEXT, "pattern": f"^{ID.pattern}$"},
        "webhook": _TEXT if webhooks else {"type": "null"},
        "webhook_events_filter": {"type": "array", "items": {"enum": list(EVENTS)}},
        "created_at": {"type": ["string", "null"]},
        **dict.fromkeys(("context", "output_file_prefix", "version"), _ANYTHING),
    }
    told = {
        "id": _TEXT,
        "input": {"type": "object"},
        "created_at": _TEXT,
        "status": {"enum": ["starting", "processing", "succeeded", "failed", "canceled"]},
        "output": {"$ref": "#/components/schemas/Output"},
        "error": {"type": ["string", "null"]},
        "metrics": {"type": "object"},
    }
    return {
        # The task's parameters stand beside the inputs.
        "Input": {
            **_open({**known.get("properties", {}), "inputs": inputs}, "inputs"),
            "additionalProperties": known.get("additionalProperties", True),
        },
        "Output": _ANYTHING,
        "PredictionRequest": _object(request, "input"),
        "Prediction": _open(told, "id", "input", "created_at", "status", "output", "error"),
        "HealthCheck": _open({"status": {"enum": ["STARTING", "READY", "BUSY", "SETUP_FAILED"]}, "setup": {"type": "object"}}),
    }
