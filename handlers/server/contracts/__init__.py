"""Every contract of the HTTP server: its routes, the tasks that it serves, and how it tells errors.

One table; each contract is a thin translation in a module of this folder, which is imported when one of its routes is first used.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from handlers.functions.problems import MethodNotAllowed, RequestProblem, RouteUnknown, document
from handlers.tasks import CUSTOM, GENERATION, TASKS

if TYPE_CHECKING:
    from handlers.functions.requests import PredictionRequest
    from handlers.server.forms import Form

# What is asked, and how it is answered, of a request (calls.py, which imports this) and its body. Raises RequestProblem.
Reader = Callable[[Any, bytes], tuple["PredictionRequest", "Form"]]
_Members = Callable[[RequestProblem], dict[str, Any]]


def _text_member(problem: RequestProblem) -> dict[str, Any]:
    return {"error": problem.detail}


def _object_member(problem: RequestProblem) -> dict[str, Any]:
    told = document(problem, "")
    kind = "server_error" if told["status"] >= 500 else "invalid_request_error"
    return {"error": {"message": problem.detail, "type": kind, "param": None, "code": told["type"].rpartition(":")[2]}}


def _no_member(problem: RequestProblem) -> dict[str, Any]:
    return {}


class Contract(NamedTuple):
    """`tasks` are the only ones that it serves (None: every one); `routes` lead to functions of its module; `members` are what its own
    clients look for in an answer that is an error, beside the problem document's own."""

    title: str
    tasks: frozenset[str] | None
    routes: Mapping[str, str]
    members: _Members = _no_member


# What is asked in texts, an image in base64 among them: a tensor has one shape and one datatype for all its inputs, while a model of one's
# own takes any JSON value that its types allow.
_OF_TEXTS = frozenset(TASKS) - {CUSTOM}
# The module's name -> what it is.
CONTRACTS: dict[str, Contract] = {
    "plain": Contract("Ours and SageMaker's", None, {"POST /predict": "predict", "POST /invocations": "predict"}),
    "hugging_face": Contract("Hugging Face", None, {"POST /": "infer"}, _text_member),
    "openai": Contract(
        "OpenAI",
        frozenset({"sentence-embedding"}),
        {"POST /v1/embeddings": "embeddings", "GET /v1/models": "models", "GET /v1/models/{model}": "model"},
        _object_member,
    ),
    "openai_texts": Contract(
        "OpenAI, written texts",
        frozenset({GENERATION}),
        {"POST /v1/completions": "completions", "POST /v1/chat/completions": "chat"},
        _object_member,
    ),
    "open_inference": Contract(
        "Open Inference Protocol v2",
        _OF_TEXTS,
        {
            "GET /v2": "server",
            "GET /v2/health/live": "live",
            "GET /v2/health/ready": "ready",
            "GET /v2/models/{model}": "metadata",
            "GET /v2/models/{model}/ready": "model_ready",
            "POST /v2/models/{model}/infer": "infer",
            "GET /v2/models/{model}/versions/{version}": "metadata",
            "GET /v2/models/{model}/versions/{version}/ready": "model_ready",
            "POST /v2/models/{model}/versions/{version}/infer": "infer",
        },
        _text_member,
    ),
    "azure_ml": Contract("Azure Machine Learning", None, {"POST /score": "score"}),
    "cog": Contract(
        "Cog",
        None,
        {
            "GET /health-check": "health",
            "POST /predictions": "create",
            "PUT /predictions/{id}": "put",
            "POST /predictions/{id}/cancel": "cancel",
        },
    ),
}


class Route(NamedTuple):
    """A method and a path, whose parts in braces stand for any text; `function` of the module `contract` answers."""

    method: str
    path: str
    contract: str
    function: str

    def names(self, path: str) -> dict[str, str] | None:
        """What stands for the parts in braces; None for another path."""
        found: dict[str, str] = {}
        for wanted, part in zip(self.path.split("/"), path.split("/"), strict=True):
            if wanted.startswith("{") and part:
                found[wanted[1:-1]] = part
            elif wanted != part:
                return None
        return found

    def members(self, problem: RequestProblem) -> dict[str, Any]:
        """What the contract adds to a problem document."""
        return CONTRACTS[self.contract].members(problem)


ROUTES = tuple(
    Route(*route.partition(" ")[::2], contract, function) for contract, row in CONTRACTS.items() for route, function in row.routes.items()
)
# Of paths that no route has: whoever asks there is a client of one of these.
_BESIDE = {"v1": _object_member, "v2": _text_member}
_FIXED = {(route.method, route.path): route for route in ROUTES if "{" not in route.path}


def members_beside(path: str, problem: RequestProblem) -> dict[str, Any]:
    """What is added to a problem document for a path that no route was found for: what the other clients of its first part look for."""
    return _BESIDE.get(path.split("/", 2)[1] if path.startswith("/") else "", _no_member)(problem)


def fixed(method: str, path: str) -> Route | None:
    """The route of a request whose path has no names in it."""
    return _FIXED.get((method, path))


@functools.cache
def function(route: Route) -> Callable[..., Any]:
    """What answers a route, imported when it is first asked for."""
    found: Callable[..., Any] = getattr(importlib.import_module(f"{__name__}.{route.contract}"), route.function)
    return found


@functools.cache
def reader(route: Route) -> Reader | None:
    """What reads a prediction out of a request's body, where that is all that its contract does; what it does besides is a coroutine."""
    found = function(route)
    return None if inspect.iscoroutinefunction(found) else found


def find(method: str, path: str, *, served: bool = False) -> tuple[Route, dict[str, str]]:
    """The route of a request, and the parts of its path that have names; `served` tells of a path that answers GET by itself.

    Raises RouteUnknown, MethodNotAllowed.
    """
    method = "GET" if method == "HEAD" else method
    if fixed := _FIXED.get((method, path)):
        return fixed, {}
    known = {"GET": path} if served else {}
    for route in ROUTES:
        if route.path.count("/") == path.count("/") and (names := route.names(path)) is not None:
            if route.method == method:
                return route, names
            known[route.method] = route.path
    if known:
        allow = ", ".join(f"{each}, HEAD" if each == "GET" else each for each in known)
        raise MethodNotAllowed(f"{next(iter(known.values()))} takes {' and '.join(known)}.", allow=allow)
    raise RouteUnknown("There are POST /predict and POST /invocations; GET /openapi.json tells every other route.")
