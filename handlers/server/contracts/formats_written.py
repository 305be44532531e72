"""Answers in the format that a client accepts: JSON, lines of JSON, CSV, a NumPy array."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from handlers.engines.manifest import Manifest
from handlers.functions.problems import NotAcceptable
from handlers.functions.requests import PredictionRequest
from handlers.functions.wording import clipped
from handlers.server.forms import JSON, LINES, PLAIN, Encoded, Form, Predicted, dumped
from handlers.tasks import CUSTOM

_CSV, _NPY = "text/csv", "application/x-npy"
# The tasks of which some outputs fit; a model's own may be anything.
_HELD = {
    _CSV: ("sentence-embedding", "text-classification", "image-classification", CUSTOM),
    _NPY: ("sentence-embedding", "feature-extraction", CUSTOM),
}


def form_of(accept: str) -> Form:
    """How to write an answer for an `Accept` header (RFC 9110, 12.5.1). Raises NotAcceptable when it names nothing that is written."""
    weights = _weights(accept)
    wanted: list[tuple[float, bool, int, int, str]] = []
    for order, media_type in enumerate((JSON, *_WRITTEN)):
        ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
        named = [(ranges.index(each), place, weight) for place, (each, weight) in enumerate(weights) if each in ranges]
        if not named:
            continue
        # The narrowest range decides over wider ones.
        width, place, weight = min(named)
        if weight > 0:
            # Of equal ones what came first; what nobody has named is no better than what somebody has, unless it is JSON.
            wanted.append((-weight, width > 0 and media_type != JSON, place, order, media_type))
    if wanted:
        media_type = min(wanted)[-1]
        return PLAIN if media_type == JSON else Form(PLAIN.contract, _encoder(media_type), adapt=_fitting(media_type))
    raise NotAcceptable(f"Accept is {clipped(accept)}: answers are written as {', '.join((JSON, *_WRITTEN))}.")


def _weights(accept: str) -> list[tuple[str, float]]:
    """Media ranges with their weights, in the order in which they came. Raises NotAcceptable."""
    weighed: list[tuple[str, float]] = []
    for part in accept.split(","):
        media_range, *options = (piece.strip().lower() for piece in part.split(";"))
        weight = next((option[2:] for option in options if option.startswith("q=")), "1")
        try:
            weighed.append((media_range, float(weight)))
        except ValueError:
            raise NotAcceptable(f"Accept is {clipped(accept)}: a weight is a number from 0 to 1.") from None
    return weighed


def _fitting(media_type: str) -> Callable[[PredictionRequest, Manifest], PredictionRequest]:
    """Raises NotAcceptable for a task whose outputs never fit into the format, before they are computed."""

    def adapt(request: PredictionRequest, manifest: Manifest) -> PredictionRequest:
        if media_type in _HELD and manifest.task not in _HELD[media_type]:
            raise _refusal(media_type)
        return request

    return adapt


def _refusal(media_type: str) -> NotAcceptable:
    has = {_CSV: "has a vector or labels a row, and these outputs are neither", _NPY: "is one array of numbers, and these outputs are none"}
    return NotAcceptable(f"{media_type} {has[media_type]}: ask for application/json.")


def _encoder(media_type: str) -> Callable[[Predicted], Encoded]:
    write = _WRITTEN[media_type]
    return lambda predicted: Encoded(write(predicted), media_type)


def _each(predicted: Predicted) -> Sequence[Any]:
    """What belongs to each input."""
    return predicted.outputs if predicted.request.many else [predicted.outputs]


def _lines(predicted: Predicted) -> bytes:
    return b"".join(dumped(output) + b"\n" for output in _each(predicted))


def _table(predicted: Predicted) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for output in _each(predicted):
        rows.writerow(_row(output))
    return text.getvalue().encode()


def _row(output: Any) -> list[Any]:
    """A vector's numbers, or labels with their scores, best first."""
    # Dumped first, for the shortest spelling of float32.
    if getattr(output, "ndim", None) == 1:
        return dumped(output)[1:-1].decode().split(",")
    scores = [output] if isinstance(output, dict) else output
    # None at all would be a row only by chance.
    if isinstance(scores, list) and scores and all(isinstance(each, dict) and each.keys() == {"label", "score"} for each in scores):
        return [value for each in scores for value in (each["label"], dumped(each["score"]).decode())]
    raise _refusal(_CSV)


def _array(predicted: Predicted) -> bytes:
    from handlers.server.contracts import npy

    return npy.dumped(predicted.outputs)


_WRITTEN: dict[str, Callable[[Predicted], bytes]] = {
    **dict.fromkeys(LINES, _lines),
    _CSV: _table,
    _NPY: _array,
}
