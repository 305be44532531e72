"""The texts of a Dockerfile's instructions: words, quotes, variables, exec forms, NAME=value pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

VARIABLE = re.compile(r"\\(\$)|\$(?:\{(\w+)(?:(:?[-+])([^}]*))?\}|(\w+))")
PIECE = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|(?:\\.|[^'\"\\\s])+|['\"\\]")
WORD = re.compile(rf"(?:{PIECE.pattern})+")


class DockerfileError(ValueError):
    """A Dockerfile that cannot be understood; the message names file and line."""


def expand(text: str, scope: Mapping[str, str]) -> str:
    """Replace `$NAME`, `${NAME}`, `${NAME:-word}` and `${NAME:+word}` as a Dockerfile does; an unknown name becomes nothing."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        value = scope.get(match[2] or match[5])
        operator, word = match[3], match[4]
        if operator is None:
            return value or ""
        present = value is not None and (value != "" or ":" not in operator)
        if operator.endswith("-"):
            return value if present and value is not None else expand(word, scope)
        return expand(word, scope) if present else ""

    return VARIABLE.sub(one, text)


def words_of(text: str, scope: Mapping[str, str]) -> list[str]:
    """Split into words; quotes group, single quotes keep `$` as it is."""
    words = []
    for raw in WORD.findall(text):
        pieces = [match[0] for match in PIECE.finditer(raw)]
        words.append("".join(piece[1:-1] if piece[0] == "'" else expand(_plain(piece), scope) for piece in pieces))
    return words


def _plain(piece: str) -> str:
    inner = piece[1:-1] if piece[0] == '"' else piece
    return re.sub(r"\\([^$])", r"\1", inner)


def command(text: str, where: str) -> tuple[str, ...]:
    """The words of an exec form, or the shell that runs the text. Raises DockerfileError."""
    if not text.lstrip().startswith("["):
        return ("/bin/sh", "-c", text)
    try:
        words = json.loads(text)
    except ValueError:
        raise DockerfileError(f"{where}: {text!r} is no JSON list; write exec form with double quotes, or no brackets.") from None
    if not words or not all(isinstance(word, str) for word in words):
        raise DockerfileError(f"{where}: {text!r} must be a list of texts with the program first.")
    return tuple(words)


def pairs(words: list[str], text: str, where: str) -> dict[str, str]:
    """NAME=value words as a dictionary; `text` is the whole, for the old form. Raises DockerfileError."""
    if words and "=" not in words[0]:  # the old form, ENV NAME value
        return {words[0]: text.split(None, 1)[1] if len(words) > 1 else ""}
    if any("=" not in word for word in words):
        raise DockerfileError(f"{where}: every entry must be NAME=value, got {text!r}.")
    return dict(word.split("=", 1) for word in words)
