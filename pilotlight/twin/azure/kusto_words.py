"""A query of Kusto's, word by word, and how one that is not understood is refused."""

from __future__ import annotations

import re

from pilotlight.twin.rows import Refusal

_TOKEN = re.compile(
    r"""\s*(?:(datetime\([^)]*\))|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(\d+(?:\.\d+)?(?:ms|[smhd])?\b)|([A-Za-z_]\w*)"""
    r"""|(==|!=|>=|<=|=~|[=<>|,().]))"""
)
_NAME = re.compile(r"[A-Za-z_]\w*")


class Words:
    """What of a query is not read yet."""

    def __init__(self, text: str) -> None:
        self._left: list[str] = []
        at, text = 0, text.strip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise syntax(f"{text[at : at + 20]!r} is not understood")
            self._left.append(found[0].strip())
            at = found.end()

    @property
    def ended(self) -> bool:
        return not self._left

    def ahead(self, place: int = 0) -> str:
        """A word that is not taken yet; nothing behind the last one."""
        return self._left[place] if place < len(self._left) else ""

    def next(self) -> str:
        if not self._left:
            raise syntax("the query ends too soon")
        return self._left.pop(0)

    def took(self, *wanted: str) -> str | None:
        """The next word, where it is one of those."""
        return self.next() if self.ahead() in wanted and self._left else None

    def take(self, wanted: str) -> None:
        if (found := self.next()) != wanted:
            raise syntax(f"{wanted!r} was expected, not {found!r}")

    def word(self, what: str) -> str:
        found = self.next()
        if not _NAME.fullmatch(found):
            raise syntax(f"{what} was expected, not {found!r}")
        return found

    def named(self) -> str | None:
        """The name in front of a `=`, where there is one."""
        if self.ahead(1) != "=":
            return None
        name = self.word("a name")
        self.take("=")
        return name

    def number(self) -> int:
        found = self.next()
        if not found.isdecimal():
            raise syntax(f"a number was expected, not {found!r}")
        return int(found)


def syntax(what: str) -> Refusal:
    return Refusal("BadArgumentError", f"The request had some invalid properties: SyntaxError: {what}.")


def semantic(what: str) -> Refusal:
    return Refusal("BadArgumentError", f"The request had some invalid properties: SemanticError: {what}.")
