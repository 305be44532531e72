"""From the answer to a request of many texts to the results of the objects that they came from. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from handlers.functions.problems import ModelFailed

_START = re.compile(r'\s*\{\s*"outputs"\s*:\s*')
_BLANK = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


def split(body: bytes, count: int) -> list[str]:
    """The JSON of each of `count` outputs, in the very characters of the answer. Raises ModelFailed for another answer."""
    text = whole(body)
    start = _START.match(text)
    assert start is not None  # `whole` has looked
    place = start.end()
    if not text.startswith("[", place):
        raise ModelFailed("The model's answer has no list of outputs.")
    found: list[str] = []
    while not text.startswith("]", place):
        begin = _after_blank(text, place + 1)
        try:
            _, end = _DECODER.raw_decode(text, begin)
        except (ValueError, RecursionError) as error:
            raise ModelFailed("The model's answer is not JSON.") from error
        found.append(text[begin:end])
        place = _after_blank(text, end)
        if not text.startswith((",", "]"), place):
            raise ModelFailed("The model's answer is not JSON.")
    if len(found) != count:
        raise ModelFailed(f"The model answered {len(found)} outputs for {count} inputs.")
    return found


def whole(body: bytes) -> str:
    """The answer as text. Raises ModelFailed when it is not `{"outputs": …}`."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ModelFailed("The model's answer is not UTF-8.") from error
    if not _START.match(text) or not text.rstrip().endswith("}"):
        raise ModelFailed("The model's answer has no 'outputs'.")
    return text


def result(outputs: Sequence[str], *, many: bool, task: str, parameters: Mapping[str, Any]) -> str:
    """The answer that these inputs would have got in a request of their own; `outputs` are those of a list."""
    if many:
        return f'{{"outputs":[{",".join(outputs)}]}}'
    (output,) = outputs
    # The pipeline's own shapes: the best label of a single text comes in a list, that of a text in a list without one.
    listed = task == "text-classification" and "top_k" not in parameters
    return f'{{"outputs":[{output}]}}' if listed else f'{{"outputs":{output}}}'


def _after_blank(text: str, place: int) -> int:
    blank = _BLANK.match(text, place)
    assert blank is not None  # it matches nothing, too
    return blank.end()
