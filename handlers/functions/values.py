"""What a request carries that is no text: JSON values of a model of one's own, and images. Pure."""

import binascii
import math

from handlers.functions.problems import InputRefused
from handlers.functions.wording import clipped

# Deeper values have no use, and every step that reads or writes JSON by recursion must get through.
MOST_NESTED = 32


def check(value: object, where: str, depth: int = 0) -> None:
    """Raises InputRefused for a JSON value that can't be handed on as it came: nested too deeply, an infinite number, half a character."""
    if isinstance(value, str):
        check_text(value, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputRefused(f"'{where}' is a number beyond 1.8e308: send a finite one.")
    elif isinstance(value, dict | list):
        if depth == MOST_NESTED:
            raise InputRefused(f"'{clipped(where)}' is nested more than {MOST_NESTED} levels deep.")
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            check(name, where)
            check(item, f"{where}.{clipped(str(name))}", depth + 1)


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
