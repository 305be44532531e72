"""Bodies that are not JSON: lines of JSON, CSV and NumPy arrays, each with one text a row."""

import csv
import io
import sys

from handlers.functions.problems import InputRefused, MalformedBody, MediaTypeUnsupported
from handlers.functions.requests import PredictionRequest, decoded, from_value, of_texts
from handlers.functions.wording import clipped

_UTF_8 = ("utf-8", "utf8", "us-ascii")
# The limit on a body is the limit on a field.
csv.field_size_limit(sys.maxsize)


def read(body: bytes, content_type: str, *, max_inputs: int) -> PredictionRequest:
    """The texts of a body by its content type: a list, also where it is one.

    Raises MediaTypeUnsupported, MalformedBody for bytes that are not what they are said to be, InputRefused for other than texts.
    """
    essence, *options = (part.strip().lower() for part in content_type.split(";"))
    if essence == "application/x-npy":
        from handlers.server.contracts import npy

        return of_texts(npy.texts(body, max_inputs), {}, max_inputs=max_inputs)
    charset = next((option.removeprefix("charset=").strip('"') for option in options if option.startswith("charset=")), "utf-8")
    if charset not in _UTF_8:
        raise MediaTypeUnsupported(f"Content-Type is {clipped(content_type)}: send UTF-8.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}.") from error
    # RFC 4180, section 3: the parameter of text/csv that tells of a first row which is none of the data.
    texts = _rows(text, "header=present" in options) if essence == "text/csv" else _lines(text, max_inputs)
    return of_texts(texts, {}, max_inputs=max_inputs)


def _rows(text: str, header: bool) -> list[object]:
    found: list[object] = []
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            if len(row) > 1:
                raise InputRefused(f"Line {rows.line_num} has {len(row)} columns: send one text a row, in quotes where it holds commas.")
            found += row
    except csv.Error as error:
        raise MalformedBody(f"Line {rows.line_num} is not CSV: {clipped(str(error))}.") from error
    return found[1:] if header else found


def _lines(text: str, max_inputs: int) -> list[object]:
    found: list[object] = []
    # Not splitlines: a JSON text may hold the other line ends of Unicode as they are.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = decoded(line.encode(), None)
        except MalformedBody as problem:
            raise MalformedBody(f"Line {number}: {problem.detail}") from problem
        one = from_value(value if isinstance(value, dict) else {"inputs": value}, max_inputs=max_inputs)
        if one.many or one.parameters:
            raise InputRefused(f'Line {number} is not one input: write a JSON text or {{"inputs": "text"}}.')
        found += one.texts
    return found
