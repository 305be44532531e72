"""NumPy's own format (`application/x-npy`), read without a copy larger than the body, and never with pickle."""

import io
import math
import tokenize
from typing import Any

import numpy as np

from handlers.functions.problems import InputRefused, MalformedBody, NotAcceptable

MEDIA_TYPE = "application/x-npy"
# A header of one small array has 118 bytes; it is parsed as Python literals, so what is longer is not looked at.
_MOST_HEADER_BYTES = 512


def texts(body: bytes, max_inputs: int) -> list[object]:
    """The texts of an array of Unicode or UTF-8 strings with at most one dimension longer than 1. Raises MalformedBody, InputRefused."""
    shape, dtype, offset = _header(body)
    # The count is looked at before anything is made of its size.
    count = math.prod(shape)
    if dtype.kind not in "US" or dtype.itemsize == 0:
        raise InputRefused(f"The array has dtype {dtype}: send texts, dtype '<U…' or '|S…' (UTF-8).")
    if count > max_inputs or len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        raise InputRefused(f"The array has shape {shape}: send 1 to {max_inputs} texts, shape (n,) or (n, 1).")
    if len(body) - offset != count * dtype.itemsize:
        raise MalformedBody(f"The array has {len(body) - offset} bytes of data, its header says {count * dtype.itemsize}.")
    # Not by NumPy, which makes text of code points that are none. Each item is filled up with zeros.
    encoding = "utf-8" if dtype.kind == "S" else {"<": "utf-32-le", ">": "utf-32-be"}[dtype.str[0]]
    items = (body[place : place + dtype.itemsize] for place in range(offset, len(body), dtype.itemsize))
    try:
        return [item.decode(encoding).rstrip("\0") for item in items]
    except UnicodeDecodeError as error:
        raise MalformedBody("The array holds bytes that are no text: send UTF-8, or Unicode code points.") from error


def dumped(value: Any) -> bytes:
    """One array of numbers. Raises NotAcceptable for outputs that are not one."""
    try:
        found = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise _no_array() from error
    # Not texts that read like numbers, nor null, of which NumPy would make some.
    if found.dtype.kind not in "biuf" or not found.size:
        raise _no_array()
    with np.errstate(over="ignore"):
        array = found.astype(np.float32)
    if (np.isinf(array) & np.isfinite(found)).any():
        raise NotAcceptable(f"{MEDIA_TYPE} has float32, which ends at 3.4e38, and some of these numbers do not: ask for application/json.")
    if found.dtype.kind in "iu" and (array.astype(np.float64) != found).any():
        raise NotAcceptable(f"{MEDIA_TYPE} has float32, which has no room for these whole numbers: ask for application/json.")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _no_array() -> NotAcceptable:
    return NotAcceptable(f"{MEDIA_TYPE} is one array of numbers, and these outputs are none: ask for application/json.")


def _header(body: bytes) -> tuple[tuple[int, ...], Any, int]:
    """Shape, dtype and where the data begins."""
    stream = io.BytesIO(body)
    try:
        major, _ = np.lib.format.read_magic(stream)
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[major]
        shape, _, dtype = read(stream, max_header_size=_MOST_HEADER_BYTES)
    except (ValueError, LookupError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError, tokenize.TokenError) as error:
        raise MalformedBody("The body is not a NumPy array of format 1 or 2: write it with numpy.save.") from error
    if any(side < 0 for side in shape):
        raise MalformedBody("The array has a negative side.")
    return shape, dtype, stream.tell()
