"""How a contract writes an answer: from a model's outputs to the bytes of its own format, in the thread that computed them.

Named tuples, here and in contracts/__init__.py: a frozen dataclass costs every cold start eight times as much, half a millisecond.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from handlers.engines.loading import Model
from handlers.engines.manifest import Manifest
from handlers.functions.problems import ModelUnknown, RequestProblem, TaskMismatch
from handlers.functions.requests import PredictionRequest

JSON = "application/json"
LINES = ("application/jsonlines", "application/jsonl", "application/x-ndjson", "application/x-jsonlines")
# What our own contract and SageMaker's read and write beside JSON.
FORMATS = (*LINES, "text/csv", "application/x-npy")


class Predicted(NamedTuple):
    """A prediction as it came out of the model: JSON values and float32 arrays."""

    request: PredictionRequest
    outputs: Any
    manifest: Manifest
    model: Model


class Encoded(NamedTuple):
    """The body of an answer and the headers (lower-case names) that go with it."""

    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = MappingProxyType({})


class Form(NamedTuple):
    """What a contract does with a prediction.

    `tasks` are the only ones that it serves (None: every one), `model` is the name by which it asked for the model (None: whichever
    is here), `adapt` gives the request as it is for the model that is here (InputRefused).

    With a `piece` the answer goes out while it is computed: that is what each piece becomes, `encode` then gives what comes behind the
    last one, and `broken` what comes where it goes wrong on the way.
    """

    contract: str
    encode: Callable[[Predicted], Encoded]
    tasks: frozenset[str] | None = None
    model: str | None = None
    adapt: Callable[[PredictionRequest, Manifest], PredictionRequest] = lambda request, manifest: request
    piece: Callable[[Any, Manifest], bytes] | None = None
    broken: Callable[[RequestProblem], bytes] = lambda problem: b""

    def settled(self, request: PredictionRequest, manifest: Manifest) -> PredictionRequest:
        """The request to the model that is here. Raises TaskMismatch and ModelUnknown, before anything is computed."""
        check_task(self.contract, self.tasks, manifest)
        if self.model is not None:
            check_name(self.model, manifest)
        return self.adapt(request, manifest)


def check_task(contract: str, tasks: frozenset[str] | None, manifest: Manifest) -> None:
    """Raises TaskMismatch where a contract does not serve the model's task (None: it serves every one)."""
    if tasks is not None and manifest.task not in tasks:
        served = " and ".join(sorted(tasks))
        raise TaskMismatch(f"{contract} serves {served}, and this model's task is {manifest.task}: use POST /predict.")


def check_name(asked: str | None, manifest: Manifest) -> None:
    """Raises ModelUnknown when a model was asked for by a name that is not this one's."""
    if asked is not None and asked != model_name(manifest):
        raise ModelUnknown(f"There is one model here, {model_name(manifest)!r}.")


def model_name(manifest: Manifest) -> str:
    """What the contracts that name models call this one: the last part of its source, without registry, owner and commit."""
    return manifest.source.partition("@")[0].rstrip("/").replace(":", "/").rpartition("/")[2]


def dumped(value: Any) -> bytes:
    """JSON, with float32 in its shortest spelling: half the digits of Python's floats, so 512 tokens fit into SageMaker's 4 MB."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


# Our own contract's: `{"outputs": …}`.
PLAIN = Form("POST /predict", lambda predicted: Encoded(dumped({"outputs": predicted.outputs})))
