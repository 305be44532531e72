"""What a request carries that is no text: JSON values of a model of one's own, and images. Pure."""

import binascii
import math
from typing import Any

from handlers.functions.problems import InputRefused
from handlers.functions.wording import clipped

# Deeper values have no use, and every step that reads or writes JSON by recursion must get through.
MOST_NESTED = 32
# What others are in; models give tuples, too.
_WITHIN = (dict, list, tuple)
_FLOATS, _WHOLE = {float}, {int}
# Whole numbers that whatever writes JSON here can write.
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
# A value's name or place within what it is in, and where that is.
_Place = tuple[object, "_Place | None"]


def check(value: object, where: str) -> None:
    """Raises InputRefused for a JSON value that can't be handed on as it came: nested too deeply, an infinite number, a whole number of
    more than 64 bits, half a character."""
    _check(value, (where, None), 0)


def _check(value: object, place: _Place, depth: int) -> None:
    if isinstance(value, str):
        if value.isascii():
            return
        try:
            value.encode()
        except UnicodeEncodeError:
            check_text(value, _path(place))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InputRefused(f"'{_path(place)}' is a number beyond 1.8e308: send a finite one.")
    elif isinstance(value, int):
        if not _LEAST <= value <= _MOST:
            raise InputRefused(f"'{_path(place)}' is a whole number beyond 64 bits: send {_LEAST} to {_MOST}.")
    elif isinstance(value, _WITHIN):
        if depth == MOST_NESTED:
            raise InputRefused(f"'{clipped(_path(place))}' is nested more than {MOST_NESTED} levels deep.")
        if isinstance(value, dict):
            for name in value:
                if not (isinstance(name, str) and name.isascii()):
                    _check(name, place, depth)
            for name, item in value.items():
                _check(item, (name, place), depth + 1)
        elif not _numbers(value):
            for number, item in enumerate(value):
                _check(item, (number, place), depth + 1)


def _numbers(value: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list, which may be long, is of numbers of one type that are known to be sound."""
    kinds = set(map(type, value))
    # No sum with one that is infinite is finite.
    return (kinds == _FLOATS and math.isfinite(sum(value))) or (kinds == _WHOLE and min(value) >= _LEAST and max(value) <= _MOST)


def _path(place: _Place) -> str:
    """In words: made only of a value that is refused, where there may be a million that are not."""
    name, within = place
    return str(name) if within is None else f"{_path(within)}.{clipped(str(name))}"


def check_text(value: str, where: str) -> None:
    """Raises InputRefused for half of a surrogate pair, which no encoding can carry."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputRefused(f"'{where}' has half of a surrogate pair at character {error.start}: send whole characters.") from error


def as_json(item: object) -> object:
    """An input as it goes into JSON: an image's bytes in base64, anything else as it is."""
    return in_base64(item) if isinstance(item, bytes) else item


def in_base64(body: bytes) -> str:
    """The base64 of an image, without line ends."""
    return binascii.b2a_base64(body, newline=False).decode()


def is_image(content_type: str | None) -> bool:
    """Whether a body is one image by its content type."""
    return (content_type or "").lower().startswith("image/")
