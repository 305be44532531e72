"""The description of the HTTP server that `GET /openapi.json` serves: OpenAPI 3.1, with every status that a route can answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from handlers.engines.manifest import Manifest
from handlers.functions.parameters import PARAMETERS
from handlers.functions.problems import MEDIA_TYPE, OF_ANSWERS, PROBLEMS
from handlers.functions.requests import IMAGES, takes
from handlers.server import openapi_headers as headers
from handlers.server import openapi_schemas as schemas
from handlers.server.contracts import CONTRACTS, ROUTES, Route
from handlers.server.contracts.cog_predictions import ID
from handlers.server.contracts.open_inference import VERSION
from handlers.server.forms import FORMATS, JSON, model_name
from handlers.settings import HandlerSettings
from handlers.tasks import GENERATION

# What any route can answer, a prediction, and whatever asks for the model that is here. 405 is for a path's other methods, which have no
# place of their own.
_ANY = (400, 405, 408, 431, 500)
_PREDICTION = (413, 415, 422, 503, 504)
_MODEL = (404, 503)
_BINARY = "application/octet-stream"


def document(settings: HandlerSettings, manifest: Manifest | None, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An OpenAPI 3.1 document; `manifest` is the model's, None while it loads, `own` are the schemas of a model of one's own."""
    task = manifest.task if manifest else None
    paths: dict[str, dict[str, Any]] = {}
    for path, refused in _HEALTH.items():
        key = f"GET {path}"
        paths[path] = {"get": _operation(key, key, (200,), {}, refused=refused)}
    names = {"id": {"type": "string", "pattern": f"^{ID.pattern}$"}, "version": {"enum": [VERSION]}}
    if manifest:
        names["model"] = {"enum": [model_name(manifest)]}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _described(route, task, names)
    parameters = (PARAMETERS[task] or ()) if task else None
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pilotlight model server", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas.of(settings, parameters, own, writes=task == GENERATION), **headers.components()},
    }


_HEALTH: Mapping[str, Sequence[int]] = {
    **dict.fromkeys(("/", "/ping", "/health", "/health/ready", "/health/startup"), (503,)),
    **dict.fromkeys(("/health/live", "/metrics", "/openapi.json"), ()),
}


def _described(route: Route, task: str | None, names: Mapping[str, Any]) -> dict[str, Any]:
    key = f"{route.method} {route.path.replace('/versions/{version}', '')}"
    summary, sent, answered, statuses, refused = _OPERATIONS[key]
    tasks = CONTRACTS[route.contract].tasks
    serves = f"{CONTRACTS[route.contract].title}: {summary}" + (f" ({', '.join(sorted(tasks))})" if tasks else "")
    serves += f". The model's task is {task}." if task and sent else ""
    described = _operation(key, serves, statuses, answered, refused=refused, predicts=bool(sent))
    described["operationId"] = f"{route.function}{''.join(part.title() for part in route.path.split('/') if part.isalnum())}{route.method}"
    described["tags"] = [CONTRACTS[route.contract].title]
    named = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    described["parameters"] += [
        {"name": name, "in": "path", "required": True, "schema": names.get(name, {"type": "string"})} for name in named
    ]
    if sent:
        images = _images(task) if route.contract in ("plain", "hugging_face") else {}
        described["requestBody"] = {"required": True, "content": {**sent, **images}}
    return described


def _operation(
    key: str, summary: str, statuses: Sequence[int], answered: Mapping[str, Any], *, refused: Sequence[int], predicts: bool = False
) -> dict[str, Any]:
    told: dict[str, Any] = {
        str(status): {"description": _SAID[status], "headers": headers.of_answer(key, status, predicts=predicts)}
        | ({"content": answered} if answered else {})
        for status in statuses
    }
    refusals = {str(status): _refusal(status) for status in sorted({*refused, *_ANY})}
    return {"summary": summary, "parameters": headers.parameters(key, predicts=predicts), "responses": told | refusals}


_SAID = {200: "The answer", 202: "It runs: its state as it is now"}


def _images(task: str | None) -> dict[str, Any]:
    """Bodies that are one image, where the task takes such."""
    media_types = ("image/jpeg", "image/png") if task is not None and takes(task) == IMAGES else ()
    return {media_type: {"schema": {"type": "string", "contentMediaType": media_type}} for media_type in media_types}


def _refusal(status: int) -> dict[str, Any]:
    rows = (row for kind, row in PROBLEMS.items() if kind not in OF_ANSWERS)
    titles = " or ".join(title for known, _, title in rows if known == status)
    return {"description": titles, "headers": headers.of_problem(status), "content": _content("Problem", MEDIA_TYPE)}


def _content(schema: str, *media_types: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}} for media_type in media_types or (JSON,)}


def _other(media_types: Sequence[str]) -> dict[str, Any]:
    return {media_type: {} for media_type in media_types}


_PLAIN = ({**_content("Request"), **_other(FORMATS)}, {**_content("Answer"), **_other(FORMATS)}, (200,), (*_PREDICTION, 406, 502))
_EVENTS = "text/event-stream"
_TEXTS = ({**_content("Completion"), **_other((_EVENTS,))}, (200,), (*_PREDICTION, 404))
_COG = (_content("PredictionRequest"), _content("Prediction"), (200, 202), (*_PREDICTION, 406, 409))
# Method and path (of a model's only version: without it) -> summary, what is sent, what is answered, statuses of answers and of problems.
_OPERATIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any], Sequence[int], Sequence[int]]] = {
    "POST /predict": ("Predict", *_PLAIN),
    "POST /invocations": ("Predict, as InvokeEndpoint asks", *_PLAIN),
    "POST /": ("Predict", _content("HuggingFaceRequest"), {**_content("Outputs"), **_other((_EVENTS,))}, (200,), _PREDICTION),
    "POST /v1/embeddings": ("Embed", _content("EmbeddingsRequest"), _content("Embeddings"), (200,), (*_PREDICTION, 404)),
    "POST /v1/completions": ("Continue texts; with `stream` as events", _content("CompletionsRequest"), *_TEXTS),
    "POST /v1/chat/completions": ("Answer a chat; with `stream` as events", _content("ChatRequest"), *_TEXTS),
    "GET /v1/models": ("The models, which are one", {}, _content("Models"), (200,), (503,)),
    "GET /v1/models/{model}": ("A model", {}, _content("Model"), (200,), _MODEL),
    "GET /v2": ("This server", {}, _content("Server"), (200,), ()),
    "GET /v2/health/live": ("Whether the server is there", {}, {JSON: {}}, (200,), ()),
    "GET /v2/health/ready": ("Whether the model is loaded", {}, {JSON: {}}, (200,), (503,)),
    "GET /v2/models/{model}": ("Inputs and outputs of the model", {}, _content("ModelMetadata"), (200,), (*_MODEL, 422)),
    "GET /v2/models/{model}/ready": ("Whether the model is loaded", {}, {JSON: {}}, (200,), _MODEL),
    "POST /v2/models/{model}/infer": (
        "Predict; binary tensors come behind the JSON, whose length Inference-Header-Content-Length tells",
        {**_content("InferenceRequest"), _BINARY: {}},
        {**_content("InferenceAnswer"), _BINARY: {}},
        (200,),
        (*_PREDICTION, 404),
    ),
    "POST /score": ("Predict", _content("ScoreRequest"), _content("Outputs"), (200,), _PREDICTION),
    "GET /health-check": ("State of the model, in its body", {}, _content("HealthCheck"), (200,), ()),
    "POST /predictions": ("Predict", *_COG),
    "PUT /predictions/{id}": ("Predict, once for each id that runs", *_COG),
    "POST /predictions/{id}/cancel": ("End a prediction that no client waits for", {}, {JSON: {}}, (200,), (404,)),
}
