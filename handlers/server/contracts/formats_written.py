"""Answers in the format that a client accepts: JSON, lines of JSON, CSV, a NumPy array."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from handlers.functions.problems import NotAcceptable
from handlers.functions.wording import clipped
from handlers.server.forms import JSON, LINES, PLAIN, Encoded, Form, Predicted, dumped


def form_of(accept: str) -> Form:
    """How to write an answer for an `Accept` header (RFC 9110, 12.5.1). Raises NotAcceptable when it names nothing that is written."""
    for media_range in _by_wish(accept):
        if media_range in ("*/*", "application/*", JSON):
            return PLAIN
        media_type = "text/csv" if media_range == "text/*" else media_range
        if media_type in _WRITTEN:
            return Form(PLAIN.contract, _encoder(media_type))
    raise NotAcceptable(f"Accept is {clipped(accept)}: answers are written as {', '.join((JSON, *_WRITTEN))}.")


def _by_wish(accept: str) -> list[str]:
    """Media ranges, the most wanted one first; without those of weight 0."""
    weighed: list[tuple[float, str]] = []
    for part in accept.split(","):
        media_range, *options = (piece.strip().lower() for piece in part.split(";"))
        weight = next((option[2:] for option in options if option.startswith("q=")), "1")
        try:
            weighed.append((float(weight), media_range))
        except ValueError:
            raise NotAcceptable(f"Accept is {clipped(accept)}: a weight is a number from 0 to 1.") from None
    return [media_range for weight, media_range in sorted(weighed, key=lambda each: -each[0]) if weight > 0]


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
    if isinstance(scores, list) and all(isinstance(each, dict) and each.keys() == {"label", "score"} for each in scores):
        return [value for each in scores for value in (each["label"], dumped(each["score"]).decode())]
    raise NotAcceptable("text/csv has a vector or labels a row, and these outputs are neither: ask for application/json.")


def _array(predicted: Predicted) -> bytes:
    from handlers.server.contracts import npy

    return npy.dumped(predicted.outputs)


_WRITTEN: dict[str, Callable[[Predicted], bytes]] = {
    **dict.fromkeys(LINES, _lines),
    "text/csv": _table,
    "application/x-npy": _array,
}
