"""Conditions of grants: the part of Google's expression language that policies about names, kinds and times are written in.

`resource.name`, `resource.type`, `resource.service` (`==`, `!=`, `startsWith`, `endsWith`), `request.time` compared with
`timestamp("…")`, and `&&`, `||`, `!`, parentheses. What cannot be read is refused when the grant is made, never ignored.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

_TOKEN = re.compile(r"""\s*(?:(&&|\|\||==|!=|<=|>=|[<>!().,])|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([A-Za-z_][A-Za-z0-9_]*))""")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_ATTRIBUTES = ("name", "type", "service")
# What the last parts of a resource's name are called as a type (IAM documentation, "Resource types", read 2026-11).
_TYPES: Mapping[str, tuple[str, str]] = {
    "buckets": ("storage.googleapis.com", "Bucket"),
    "objects": ("storage.googleapis.com", "Object"),
    "topics": ("pubsub.googleapis.com", "Topic"),
    "subscriptions": ("pubsub.googleapis.com", "Subscription"),
    "services": ("run.googleapis.com", "Service"),
    "databases": ("firestore.googleapis.com", "Database"),
    "serviceAccounts": ("iam.googleapis.com", "ServiceAccount"),
    "repositories": ("artifactregistry.googleapis.com", "Repository"),
}


class ConditionError(ValueError):
    """An expression that the twin cannot read; the message says where it stopped."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a condition is asked about: the resource's full name, and the time in seconds since the epoch."""

    name: str
    time: float

    def attribute(self, which: str) -> str:
        if which == "name":
            return self.name
        service, kind = _TYPES.get(_collection(self.name), ("cloudresourcemanager.googleapis.com", "Project"))
        return service if which == "service" else f"{service}/{kind}"


Test = Callable[[Asked], bool]


def _collection(name: str) -> str:
    """`objects` of `projects/_/buckets/b/objects/a/b`, `topics` of `projects/p/topics/t`."""
    if "/buckets/" in name:
        return "objects" if "/objects/" in name else "buckets"
    parts = name.split("/")
    return parts[-2] if len(parts) > 2 else ""


@lru_cache(maxsize=256)
def read(expression: str) -> Test:
    """The expression as a function. Raises ConditionError."""
    parser = _Parser(_tokens(expression))
    test = parser.either()
    if parser.left:
        raise ConditionError(f"{parser.left[0]!r} is not expected here")
    return test


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConditionError(f"{text[at:].strip()[:20]!r} is not known to the local twin")
        found.append(match[0].strip())
        at = match.end()
    return found


class _Parser:
    """Recursive descent: one method a level of precedence."""

    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens

    def either(self) -> Test:
        tests = [self._both()]
        while self._take("||"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda asked: any(test(asked) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._take("&&"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda asked: all(test(asked) for test in tests)

    def _one(self) -> Test:
        if self._take("!"):
            inner = self._one()
            return lambda asked: not inner(asked)
        if self._take("("):
            inner = self.either()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        subject = self._next()
        self._expect(".")
        which = self._next()
        if (subject, which) == ("request", "time"):
            return self._time()
        if subject != "resource" or which not in _ATTRIBUTES:
            raise ConditionError(f"{subject}.{which} is not known to the local twin: use resource.name, .type, .service or request.time")
        if self._take("."):
            return self._call(which)
        sign = self._next()
        if sign not in ("==", "!="):
            raise ConditionError(f"{sign!r} does not compare texts: use == or !=")
        wanted = self._text()
        return lambda asked: (asked.attribute(which) == wanted) == (sign == "==")

    def _call(self, which: str) -> Test:
        method = self._next()
        self._expect("(")
        wanted = self._text()
        self._expect(")")
        if method == "startsWith":
            return lambda asked: asked.attribute(which).startswith(wanted)
        if method == "endsWith":
            return lambda asked: asked.attribute(which).endswith(wanted)
        raise ConditionError(f"{method}() is not known to the local twin: use startsWith() or endsWith()")

    def _time(self) -> Test:
        sign = self._next()
        if sign not in _COMPARE:
            raise ConditionError(f"{sign!r} does not compare times: use one of {', '.join(_COMPARE)}")
        if self._next() != "timestamp":
            raise ConditionError('request.time is compared with timestamp("2027-01-01T00:00:00Z")')
        self._expect("(")
        text = self._text()
        self._expect(")")
        try:
            limit = datetime.fromisoformat(text).timestamp()
        except ValueError:
            raise ConditionError(f"{text!r} is no time as 2027-01-01T00:00:00Z") from None
        compare = _COMPARE[sign]
        return lambda asked: compare(asked.time, limit)

    def _text(self) -> str:
        token = self._next()
        if token[0] not in "\"'":
            raise ConditionError(f"{token!r} is no text in quotes")
        return re.sub(r"\\(.)", r"\1", token[1:-1])

    def _next(self) -> str:
        if not self.left:
            raise ConditionError("it ends too early")
        return self.left.pop(0)

    def _take(self, token: str) -> bool:
        return bool(self.left) and self.left[0] == token and self.left.pop(0) == token

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise ConditionError(f"{token!r} is expected in the place of {found!r}")
