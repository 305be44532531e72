"""Policy documents of API Management as trees that remember lines and columns.

In the format `rawxml` C# expressions stand as they are, quotes and angle brackets included, so that a document is no XML until they are
escaped.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from xml.parsers import expat

RAW = "rawxml"
_OPENING = {"(": ")", "{": "}"}
# A comment, or where an expression may begin: as the whole value of an attribute, or as an element's whole text.
_BEGIN = re.compile(r"<!--.*?-->|(?:=\s*[\"']|(?<![-?])>)\s*(?=@[({])", re.DOTALL)
_AMPERSAND = re.compile(r"&(?!(?:lt|gt|amp|quot|apos|#\d+|#x[0-9a-fA-F]+);)")


@dataclass(frozen=True, kw_only=True)
class Element:
    """`text` is what stands between the tags, without the children's; `line` and `column` are those of the name, from 1."""

    name: str
    attributes: dict[str, str]
    line: int
    column: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, *names: str) -> list[Element]:
        """The children of that name, or those at the end of such a path."""
        found = [child for child in self.children if child.name == names[0]]
        return found if len(names) == 1 else [deeper for child in found for deeper in child.all(*names[1:])]

    def walk(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            yield from child.walk()


class PolicyError(ValueError):
    """What API Management says of a document: where, and what."""

    def __init__(self, message: str, element: Element | None = None) -> None:
        where = f"Error in element '{element.name}' on line {element.line}, column {element.column}: " if element else ""
        super().__init__(f"{where}{message}")


def parse(text: str, content_format: str = RAW) -> Element:
    """The root element. PolicyError for what is no XML."""
    pieces = _escaped(text) if content_format == RAW else [(text, 0)]
    return _Reader(text, pieces).read()


def _escaped(text: str) -> list[tuple[str, int]]:
    """Pieces of the escaped text, each with its place in the text as it was given."""
    pieces, done, at = [], 0, 0
    while found := _BEGIN.search(text, at):
        at = found.end()
        if found[0].startswith("<!--"):
            continue
        end = _end(text, at)
        pieces += [(text[done:at], done), (_quoted(text[at:end]), at)]
        done = at = end
    return [*pieces, (text[done:], done)]


def _quoted(expression: str) -> str:
    """The expression as XML has it; an entity in it stays one."""
    return _AMPERSAND.sub("&amp;", expression).translate({ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("'"): "&apos;"})


def _end(text: str, begin: int) -> int:
    """Where the expression that begins there ends. PolicyError for one that does not."""
    opening = text[begin + 1]
    depth, at = 0, begin + 1
    while at < len(text):
        if text[at] == '"':
            at = _literal_end(text, at)
            continue
        depth += {opening: 1, _OPENING[opening]: -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            return at
    line = text.count("\n", 0, begin) + 1
    raise PolicyError(f"The expression on line {line} has no end: {text[begin : begin + 40]!r} needs a closing {_OPENING[opening]!r}.")


def _literal_end(text: str, begin: int) -> int:
    verbatim = begin > 0 and text[begin - 1] == "@"
    at = begin + 1
    while at < len(text):
        if text[at] == "\\" and not verbatim:
            at += 2
            continue
        if text[at] == '"':
            if not (verbatim and text[at + 1 : at + 2] == '"'):
                return at + 1
            at += 1
        at += 1
    return at


class _Reader:
    def __init__(self, text: str, pieces: list[tuple[str, int]]) -> None:
        self._text = text
        self._pieces = [(piece.encode(), place) for piece, place in pieces]
        self._begins = [sum(len(piece) for piece, _ in self._pieces[:index]) for index in range(len(self._pieces))]
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._stop
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._open: list[tuple[Element, list[str]]] = []
        self._root: Element | None = None

    def read(self) -> Element:
        try:
            self._parser.Parse(b"".join(piece for piece, _ in self._pieces), True)
        except expat.ExpatError as error:
            line, column = self._place(self._parser.ErrorByteIndex)
            raise PolicyError(f"{expat.ErrorString(error.code)}. Line {line}, position {column}.") from None
        assert self._root is not None
        return self._root

    def _place(self, index: int) -> tuple[int, int]:
        number = bisect_right(self._begins, index) - 1
        piece, place = self._pieces[number]
        at = place + len(piece[: index - self._begins[number]].decode(errors="ignore"))
        return self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line, column = self._place(self._parser.CurrentByteIndex)
        # .NET's readers give the place of the name, not of the bracket before it.
        element = Element(name=name, attributes=attributes, line=line, column=column + 1)
        self._open.append((element, []))

    def _characters(self, text: str) -> None:
        self._open[-1][1].append(text)

    def _stop(self, name: str) -> None:
        element, parts = self._open.pop()
        done = replace(element, text="".join(parts).strip())
        if self._open:
            self._open[-1][0].children.append(done)
        else:
            self._root = done

    def _doctype(self, *_: object) -> None:
        raise PolicyError("For security reasons DTD is prohibited in this XML document.")
