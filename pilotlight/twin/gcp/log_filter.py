"""Filters of Cloud Logging (its documentation, "Logging query language"): comparisons and texts to look for, joined by AND.

Others are refused by name, never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pilotlight.twin.gcp.log_entries import SEVERITIES
from pilotlight.twin.rows import Refusal

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<operator>=~|!~|>=|<=|!=|[=<>:])|(?P<bracket>[()])|(?P<word>[^\s"=<>!:()]+))""", re.VERBOSE
)
_NOT_KNOWN = ("OR", "NOT")
_UNDERSTOOD = "comparisons (= != < <= > >= : =~ !~) and quoted texts, joined by AND"
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')
Test = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """`since` is the least time that it lets through, in seconds since the epoch, so that nothing older need be read."""

    tests: Sequence[Test]
    since: float = 0.0

    def matches(self, entry: Mapping[str, Any]) -> bool:
        return all(test(entry) for test in self.tests)


def read(text: str) -> Filter:
    """The filter of a text. Refusal (INVALID_ARGUMENT) for what the twin does not understand, with what that is."""
    tokens = list(_tokens(text))
    tests: list[Test] = []
    since = 0.0
    while tokens:
        kind, value = tokens.pop(0)
        if (kind, value) == ("word", "AND") and tests and tokens:
            continue
        if kind in ("bracket", "operator") or (kind == "word" and (value in (*_NOT_KNOWN, "AND") or value.startswith("-"))):
            raise _refused(value)
        path = _path(value, kind, tokens)
        if not tokens or tokens[0][0] != "operator":
            if kind != "text":
                raise _refused(path)
            tests.append(_anywhere(value))
            continue
        operator = tokens.pop(0)[1]
        if not tokens or tokens[0][0] not in ("text", "word"):
            raise _refused(tokens[0][1] if tokens else f"{path}{operator} without a value")
        wanted = _unquoted(*tokens.pop(0))
        tests.append(_comparison(path, operator, wanted))
        if path == "timestamp" and operator in (">", ">="):
            since = max(since, _moment(wanted))
    return Filter(tests=tests, since=since)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise _refused(text[place:].strip())
        place = found.end()
        kind = str(found.lastgroup)
        yield kind, found[kind]


def _path(value: str, kind: str, tokens: list[tuple[str, str]]) -> str:
    """A field's path; quoted parts of it (`jsonPayload."a.b"`) come as texts of their own."""
    path = value
    while kind == "word" and tokens and ((path.endswith(".") and tokens[0][0] == "text") or tokens[0][1].startswith(".")):
        path += tokens.pop(0)[1]
    return path


def _refused(what: str) -> Refusal:
    return Refusal("INVALID_ARGUMENT", f"The local twin's Cloud Logging does not understand {what[:80]!r} in a filter: use {_UNDERSTOOD}.")


def _unquoted(kind: str, value: str) -> str:
    if kind != "text":
        return value
    # A backslash before any other character is that character's own, as in regular expressions.
    return re.sub(r'\\(["\\])', r"\1", value[1:-1])


def _anywhere(quoted: str) -> Test:
    wanted = _unquoted("text", quoted).lower()
    return lambda entry: wanted in json.dumps(entry, ensure_ascii=False).lower()


def field(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """What reads the field of that path from an entry; None where it has none."""
    names = [_unquoted("text", f'"{quoted}"') if quoted else bare for quoted, bare in _PATH.findall(path)]

    def read_field(entry: Mapping[str, Any]) -> Any:
        value: Any = entry
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    return read_field


def _comparison(path: str, operator: str, wanted: str) -> Test:
    read_field, compare = field(path), _compared(path, operator, wanted)

    def test(entry: Mapping[str, Any]) -> bool:
        value = read_field(entry)
        if path == "severity" and value is None:
            value = SEVERITIES[0]
        # What is not there equals nothing, and is different from everything.
        return compare(value) if value is not None else operator in ("!=", "!~")

    return test


def _compared(path: str, operator: str, wanted: str) -> Callable[[Any], bool]:
    """Comparisons ignore case, but for regular expressions."""
    if operator in ("=~", "!~"):
        try:
            pattern = re.compile(wanted)
        except re.error as error:
            raise Refusal("INVALID_ARGUMENT", f"{wanted!r} is no regular expression: {error}.") from None
        return lambda value: (pattern.search(_text(value)) is not None) == (operator == "=~")
    if operator == ":":
        return lambda value: wanted == "*" or wanted.lower() in _text(value).lower()
    measure = _measure(path)
    least = measure(wanted)

    def compare(value: Any) -> bool:
        found = measure(value)
        if type(found) is not type(least):
            return operator == "!="
        return _ORDERS[operator](found, least)

    return compare


_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda found, wanted: bool(found == wanted),
    "!=": lambda found, wanted: bool(found != wanted),
    "<": lambda found, wanted: bool(found < wanted),
    "<=": lambda found, wanted: bool(found <= wanted),
    ">": lambda found, wanted: bool(found > wanted),
    ">=": lambda found, wanted: bool(found >= wanted),
}


def _measure(path: str) -> Callable[[Any], Any]:
    """What values of a field are compared by."""
    if path in ("timestamp", "receiveTimestamp"):
        return _moment
    return _severity if path == "severity" else _number_or_text


def _severity(value: Any) -> int:
    if str(value).upper() not in SEVERITIES:
        raise Refusal("INVALID_ARGUMENT", f"severity: {value!r} is not known: use one of {', '.join(SEVERITIES)}.")
    return SEVERITIES.index(str(value).upper())


def _moment(value: Any) -> float:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Refusal("INVALID_ARGUMENT", f"timestamp: {value!r} is no time: use one as 2026-11-02T08:00:00Z.")
    return moment.timestamp()


def _number_or_text(value: Any) -> float | str:
    text = _text(value)
    try:
        return float(text)
    except ValueError:
        return text.lower()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
