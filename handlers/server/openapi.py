"""The description of the HTTP contract that `GET /openapi.json` serves."""

from typing import Any

from handlers.functions.problems import MEDIA_TYPE, OF_ANSWERS, PROBLEMS
from handlers.functions.requests import PARAMETERS
from handlers.settings import HandlerSettings

# What a prediction can answer besides 200: everything in the table but the function's own.
_REFUSALS = (400, 405, 408, 413, 415, 422, 431, 500, 503, 504)


def document(settings: HandlerSettings, task: str | None) -> dict[str, Any]:
    """An OpenAPI 3.1 document; `task` is the model's, None while it loads."""
    prediction = {
        "post": {
            "operationId": "predict",
            "summary": f"Predict with task {task}" if task else "Predict",
            "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}},
            "responses": {
                "200": {"description": "The prediction", "content": _content("application/json", "Answer")},
                **{str(status): _refusal(status) for status in _REFUSALS},
            },
        }
    }
    health = {"get": {"responses": {"200": {"description": "Yes"}, "503": _refusal(503)}}}
    alive = {"get": {"responses": {"200": {"description": "Yes"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pilotlight model server", "version": "1"},
        "paths": {
            "/predict": prediction,
            "/invocations": {"post": prediction["post"] | {"operationId": "invocations"}},
            "/ping": health,
            "/health/ready": health,
            "/health/startup": health,
            "/health/live": alive,
            "/metrics": alive,
            "/openapi.json": alive,
        },
        "components": {"schemas": _schemas(settings, task)},
    }


def _content(media_type: str, schema: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _refusal(status: int) -> dict[str, Any]:
    rows = (row for kind, row in PROBLEMS.items() if kind not in OF_ANSWERS)
    titles = " or ".join(title for known, _, title in rows if known == status)
    return {"description": titles, "content": _content(MEDIA_TYPE, "Problem")}


def _schemas(settings: HandlerSettings, task: str | None) -> dict[str, Any]:
    text = {"type": "string"}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": settings.max_inputs}
    parameters: dict[str, Any] = {"type": "object", "default": {}}
    if task is not None:
        parameters |= {"properties": {name: {} for name in PARAMETERS.get(task, {})}, "additionalProperties": False}
    reference = {"type": "object", "required": ["uri"], "additionalProperties": False, "properties": {"uri": text}}
    references = [reference] if settings.inputs_uri is not None else []
    names = ("type", "title", "detail", "instance")
    return {
        "Request": {
            "type": "object",
            "required": ["inputs"],
            "additionalProperties": False,
            "properties": {"inputs": {"oneOf": [text, texts, *references]}, "parameters": parameters},
        },
        "Answer": {"type": "object", "required": ["outputs"], "properties": {"outputs": {}}},
        "Problem": {
            "type": "object",
            "required": [*names, "status"],
            "properties": {**{name: text for name in names}, "status": {"type": "integer"}},
        },
    }
