"""Filter patterns of CloudWatch Logs: terms in text, and comparisons of JSON fields. Others are refused, never guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from pilotlight.twin.conditions import glob_match
from pilotlight.twin.rows import Refusal

_TERM = re.compile(r'([-?]?)(?:"([^"]*)"|(\S+))')
_JSON = re.compile(r'\{\s*\$\.([\w.\-]+)\s*(=|!=|<=|>=|<|>)\s*(?:"([^"]*)"|([\w.*\-]+))\s*\}')


def matcher(pattern: str) -> Callable[[str], bool]:
    """A test of messages. Refusal (InvalidParameterException) for a pattern that the twin does not know."""
    text = pattern.strip()
    if not text:
        return lambda message: True
    if text.startswith("{"):
        return _json_matcher(text)
    if text.startswith("["):
        raise Refusal("InvalidParameterException", "The twin knows no space-delimited filter patterns: use terms or { $.field = value }.")
    terms = [(sign, quoted or bare) for sign, quoted, bare in _TERM.findall(text)]
    optional = [term for sign, term in terms if sign == "?"]
    return lambda message: (
        all(term in message for sign, term in terms if sign == "")
        and not any(term in message for sign, term in terms if sign == "-")
        and (not optional or any(term in message for term in optional))
    )


def _json_matcher(text: str) -> Callable[[str], bool]:
    match = _JSON.fullmatch(text)
    if match is None:
        raise Refusal(
            "InvalidParameterException", f"The twin knows JSON patterns of one comparison, {{ $.field = value }}; got {text[:100]!r}."
        )
    path, operator, quoted, bare = match[1].split("."), match[2], match[3], match[4]
    wanted = quoted if quoted is not None else bare

    def matches(message: str) -> bool:
        try:
            value: Any = json.loads(message)
        except ValueError:
            return False
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return _compare(value, operator, wanted)

    return matches


def _compare(value: Any, operator: str, wanted: str) -> bool:
    if isinstance(value, bool) or value is None:
        equal = str(value).lower() == wanted.lower() or (value is None and wanted == "null")
        return equal if operator == "=" else not equal if operator == "!=" else False
    if isinstance(value, int | float):
        try:
            number = float(wanted)
        except ValueError:
            return operator == "!="
        tests = {"=": value == number, "!=": value != number, "<": value < number, ">": value > number}
        return (tests | {"<=": value <= number, ">=": value >= number})[operator]
    if operator in ("=", "!="):
        return glob_match(wanted, str(value)) == (operator == "=")
    return False
