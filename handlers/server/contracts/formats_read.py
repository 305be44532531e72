"""Bodies that are not JSON: lines of JSON, CSV and NumPy arrays, each with one text a row."""

import codecs
import csv
import io
import re
import sys
from itertools import islice

from handlers.functions.problems import InputRefused, MalformedBody, MediaTypeUnsupported
from handlers.functions.requests import PredictionRequest, decoded, from_value, of_texts
from handlers.functions.wording import clipped

_UTF_8 = ("utf-8", "utf8", "us-ascii")
# What a line has beside the blanks in front, as JSON knows them: lines without any are passed over in one step, however many.
_LINE = re.compile(r"[^ \t\r\n][^\n]*")
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
    # What Excel's "CSV UTF-8" begins with is none of the text.
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}.") from error
    # RFC 4180, section 3: the parameter of text/csv that tells of a first row which is none of the data.
    texts = _rows(text, "header=present" in options, max_inputs) if essence == "text/csv" else _lines(text, max_inputs)
    return of_texts(texts, {}, max_inputs=max_inputs)


def _rows(text: str, header: bool, max_inputs: int) -> list[object]:
    """The first field of each row, of no more rows than tell that there are too many."""
    found: list[object] = []
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    most = max_inputs + header + 1
    try:
        # Rows without a field are read too, so that a body of line ends alone ends soon.
        for row in islice(rows, 2 * most):
            if len(row) > 1:
                raise InputRefused(f"Line {rows.line_num} has {len(row)} columns: send one text a row, in quotes where it holds commas.")
            found += row
            if len(found) == most:
                return found[header:]
        if next(rows, None) is not None:
            raise InputRefused(f"Of the first {2 * most} lines {2 * most - len(found)} are empty: leave those out.")
    except csv.Error as error:
        raise MalformedBody(f"Line {rows.line_num} is not CSV: {clipped(str(error))}.") from error
    return found[header:]


def _lines(text: str, max_inputs: int) -> list[object]:
    """What each line says, of no more lines than tell that there are too many."""
    found: list[object] = []
    # Not splitlines: a JSON text may hold the other line ends of Unicode as they are.
    for line in islice(_LINE.finditer(text), max_inputs + 1):
        try:
            value = decoded(line[0].encode(), None)
            one = from_value(value if isinstance(value, dict) else {"inputs": value}, max_inputs=max_inputs)
        except (MalformedBody, InputRefused) as problem:
            raise type(problem)(f"Line {_number(text, line)}: {problem.detail}") from problem
        if one.many or one.parameters:
            raise InputRefused(f'Line {_number(text, line)} is not one input: write a JSON text or {{"inputs": "text"}}.')
        found += one.texts
    return found


def _number(text: str, line: re.Match[str]) -> int:
    """Of a line, from 1 on."""
    return text.count("\n", 0, line.start()) + 1
