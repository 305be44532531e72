"""A model of one's own: its class out of `handlers/models`, with requests and answers checked by what it says that it takes and gives."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from handlers.engines import own_values
from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest, ModelError
from handlers.functions import values
from handlers.functions.problems import InputRefused, RequestProblem
from handlers.functions.requests import PredictionRequest, decode_by
from handlers.functions.wording import clipped

PACKAGE = "handlers.models"
_Asked = tuple[PredictionRequest, Cancellation]
# So that a class may be called as one of the server's own schemas is.
_PREFIX = "Own."
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SHAPE = "predict(self, inputs: list[X]) -> list[Y], or with a further argument parameters: P"


class OwnModel:
    """Answers an output for an input, a list of them for a list; `schemas` describes them (JSON Schema 2020-12, as OpenAPI 3.1 has it)."""

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        """Raises ModelError for code that is not in this image, or can't answer by its verbs and types."""
        self._name = manifest.architecture
        kind = _class(self._name)
        self._input, self._output, self._parameters = _types(kind, self._name)
        found, components = self._schemas()
        self._read_input, self._read_parameters = own_values.reader(self._input), own_values.reader(self._parameters)
        self.warm_up = self._example(kind)
        # The schemas `input`, `output` and `parameters` (None without), the `components` that they name, and an `example`.
        self.schemas: Mapping[str, Any] = {**found, "components": components, "example": self.warm_up.texts[0]}
        # It is imported for these alone.
        decode_by(msgspec.json.decode)
        self._model = kind()
        self._check_call()
        self._model.load(folder, threads)
        # What it computes with is its own business, and it may say so.
        self.providers = tuple(getattr(self._model, "providers", ("own",)))
        if getattr(kind, "together", False):
            # A model that computes one input after the other would only keep the first of them waiting for the last.
            self.predict_together = self._predict_together

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        """Raises InputRefused for an input of another type, TypeError where the model breaks its word: a fault of ours."""
        ((_, answer),) = self._each_of([(request, cancellation)], [0])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _predict_together(self, asked: Sequence[_Asked]) -> Iterator[tuple[int, Any]]:
        """The place of each request and its answer, or the exception that is its answer: the inputs of those with the same parameters go
        through the model as one list."""
        alike: dict[bytes, list[int]] = {}
        for place, (request, _) in enumerate(asked):
            parameters = request.parameters
            alike.setdefault(msgspec.json.encode(parameters, order="sorted") if parameters else b"", []).append(place)
        for places in alike.values():
            yield from self._each_of(asked, places)

    def _each_of(self, asked: Sequence[_Asked], places: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """The same of those in these places, whose parameters are alike. Where they fail together each is tried alone: only who is at fault
        fails."""
        taken: list[tuple[int, PredictionRequest, list[Any]]] = []
        given: list[Any] = []
        for place in places:
            request, cancellation = asked[place]
            try:
                cancellation.check()
                inputs, given = self._inputs(request), self._given(request.parameters)
            except Exception as error:  # noqa: BLE001  (its answer)
                yield place, error
            else:
                taken.append((place, request, inputs))
        if not taken:
            return
        try:
            outputs = self._outputs([value for _, _, inputs in taken for value in inputs], given)
        except Exception as error:  # noqa: BLE001  (the answer of whoever it belongs to)
            if len(taken) == 1:
                yield taken[0][0], error
                return
            for place, _, _ in taken:
                yield from self._each_of(asked, [place])
            return
        left = iter(outputs)
        for place, request, inputs in taken:
            yield place, self._answer(request, list(islice(left, len(inputs))))

    def _outputs(self, inputs: list[Any], given: list[Any]) -> list[Any]:
        outputs = self._model.predict(inputs, *given)
        if not isinstance(outputs, list) or len(outputs) != len(inputs):
            raise TypeError(
                f"{PACKAGE}.{self._name} gave {clipped(repr(outputs))} for {len(inputs)} inputs: predict gives a list of as many."
            )
        return outputs

    def _answer(self, request: PredictionRequest, outputs: list[object]) -> Any:
        try:
            plain = [self._plain(output) for output in outputs]
        except Exception as error:  # noqa: BLE001  (its answer)
            return error
        return plain if request.many else plain[0]

    def _inputs(self, request: PredictionRequest) -> list[Any]:
        return [
            _converted(value, self._read_input, f"inputs[{index}]" if request.many else "inputs")
            for index, value in enumerate(request.texts)
        ]

    def _schemas(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Those of `input`, `output` and `parameters`, and the components that they name. What has none can't be checked by it either."""
        kinds = [self._input, self._output, *([] if self._parameters is None else [self._parameters])]
        try:
            found, components = own_values.schemas(kinds, f"#/components/schemas/{_PREFIX}{{name}}")
        except (TypeError, NameError) as error:
            raise ModelError(f"{PACKAGE}.{self._name}: what predict takes and gives: {error}.") from error
        names = ("input", "output", "parameters")
        described = dict.fromkeys(names) | dict(zip(names, found, strict=False))
        return described, {f"{_PREFIX}{name}": schema for name, schema in components.items()}

    def _check_call(self) -> None:
        """Raises ModelError where predict can't be called with what it says that it takes."""
        predict, given = self._model.predict, ["inputs", *([] if self._parameters is None else ["parameters"])]
        try:
            taken = list(inspect.signature(predict).bind(*given).arguments)
        except TypeError as error:
            raise ModelError(f"{PACKAGE}.{self._name}: predict is called with {' and '.join(given)}: {error}: write {_SHAPE}.") from error
        if taken != given or inspect.iscoroutinefunction(predict):
            raise ModelError(f"{PACKAGE}.{self._name}: predict is no plain function of {' and '.join(given)}: write {_SHAPE}.")

    def _given(self, parameters: dict[str, Any]) -> list[Any]:
        if self._parameters is not None:
            return [_converted(parameters, self._read_parameters, "parameters")]
        if parameters:
            raise InputRefused(f"parameters.{clipped(next(iter(parameters)))} is not known: this model takes none.")
        return []

    def _plain(self, output: object) -> Any:
        """The JSON value of an output, if it is what the model says that it gives."""
        try:
            plain = own_values.plain(output)
            msgspec.convert(plain, self._output, str_keys=True)
            values.check(plain, "outputs")
        except (msgspec.ValidationError, NotImplementedError, RequestProblem) as error:
            raise TypeError(f"{PACKAGE}.{self._name} gave {clipped(repr(output))}, which is no {self._output}: {error}") from error
        return plain

    def _example(self, kind: type[Any]) -> PredictionRequest:
        try:
            example = own_values.plain(kind.example)
            msgspec.convert(example, self._input, str_keys=True)
            if self._parameters is not None:
                msgspec.convert({}, self._parameters)
        except (AttributeError, TypeError, NotImplementedError, msgspec.ValidationError) as error:
            what = "example must be an input of it, and its parameters need defaults"
            raise ModelError(f"{PACKAGE}.{self._name}: {what}: {error}") from error
        return PredictionRequest((example,), many=False, parameters={})


def _class(name: str) -> type[Any]:
    if not _NAME.fullmatch(name):
        raise ModelError(f"manifest.json: architecture {name!r} is no name of a folder in handlers/models.")
    module = f"{PACKAGE}.{name}.model"
    try:
        found: type[Any] = importlib.import_module(module).Model
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            raise ModelError(f"{module} is not in this image: build it from the checkout that has the model.") from error
        lacks = f"{module} needs {error.name}, which this image does not carry"
        raise ModelError(f"{lacks}: add it to the image's list in containers/requirements, and make lock.") from error
    except AttributeError as error:
        raise ModelError(f"{module} has no class Model: give it one, with load and predict.") from error
    return found


def _types(kind: type[Any], name: str) -> tuple[Any, Any, Any]:
    """What it takes, what it gives, and the class of its parameters, None without."""
    try:
        hints = get_type_hints(kind.predict, include_extras=True)
    except (AttributeError, NameError, TypeError) as error:
        raise ModelError(f"{PACKAGE}.{name}: {error}: write {_SHAPE}.") from error
    taken, given = hints.get("inputs"), hints.get("return")
    if get_origin(taken) is not list or get_origin(given) is not list or not hasattr(kind, "load"):
        raise ModelError(f"{PACKAGE}.{name}: Model needs load(self, folder, threads) and {_SHAPE}.")
    return get_args(taken)[0], get_args(given)[0], hints.get("parameters")


def _converted(value: object, read: Callable[[object], Any], where: str) -> Any:
    try:
        return read(value)
    except msgspec.ValidationError as error:
        raise InputRefused(f"'{where}': {str(error)[:300]}.") from error
