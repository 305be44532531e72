"""Policy expressions: the part of C# that the twin understands, judged when a policy is stored and evaluated for every request.

An expression has a type; members and methods are those of `apim_expression_members`. ValueError for everything else.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from pilotlight.twin.azure.apim_expression_members import INDEXES, MEMBERS, METHODS, STATIC, Member
from pilotlight.twin.azure.apim_expression_types import (
    Absent,
    EvaluationError,
    Expression,
    added,
    cast,
    common,
    constant,
    known,
    owner_of,
    present,
    read,
    require,
)

_TOKEN = re.compile(r'\s*(@"(?:[^"]|"")*"|"(?:[^"\\]|\\.)*"|\d+|[A-Za-z_]\w*|\?\.|\?\?|&&|\|\||[=!<>]=|[-+!<>()\[\].,?:])')
_CASTS = {"string": "string", "int": "int", "bool": "bool", "Jwt": "jwt"}
_LITERALS = {"true": True, "false": False, "null": None}
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_ORDERED = frozenset({"<", ">", "<=", ">="})


def is_expression(text: str) -> bool:
    return text.startswith(("@(", "@{"))


@lru_cache(maxsize=4096)
def compiled(text: str) -> Expression:
    """The expression in `@(…)`. ValueError says what of it the twin does not understand."""
    if text.startswith("@{"):
        raise ValueError("the local twin understands expressions of one statement, `@(…)`, and none of the form `@{…}`")
    if not (text.startswith("@(") and text.endswith(")")):
        raise ValueError("an expression is the whole value: `@(…)`")
    return _Parser(text[2:-1]).whole()


def evaluated(text: str, context: Any) -> Any:
    """The value of a text that may be an expression. EvaluationError."""
    if not is_expression(text):
        return text
    try:
        return compiled(text).value(context)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EvaluationError(str(error).strip("'\"")) from None


class _Parser:
    """A parser by recursive descent, one method for each level of C#'s precedence."""

    def __init__(self, text: str) -> None:
        self._tokens, at = [], 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"it is not understood from {text[at : at + 20]!r} on")
            self._tokens.append(found[1])
            at = found.end()
        self._at = 0

    def whole(self) -> Expression:
        found = self._conditional()
        if self._next is not None:
            raise ValueError(f"it is not understood from {self._next!r} on")
        return found

    @property
    def _next(self) -> str | None:
        return self._ahead(0)

    def _ahead(self, by: int) -> str | None:
        return self._tokens[self._at + by] if self._at + by < len(self._tokens) else None

    def _take(self) -> str:
        token = self._next
        if token is None:
            raise ValueError("it ends too early")
        self._at += 1
        return token

    def _took(self, token: str) -> bool:
        if self._next != token:
            return False
        self._at += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._took(token):
            raise ValueError(f"{token!r} is missing before {self._next or 'its end'!r}")

    def _conditional(self) -> Expression:
        condition = self._coalescing()
        if not self._took("?"):
            return condition
        require(condition, "bool", "before ?")
        yes = self._conditional()
        self._expect(":")
        no = self._conditional()
        return Expression(common(yes, no), lambda context: (yes if condition.value(context) else no).value(context))

    def _coalescing(self) -> Expression:
        found = self._or()
        if not self._took("??"):
            return found
        other = self._coalescing()

        def value(context: Any) -> Any:
            first = found.value(context)
            return other.value(context) if first is None else first

        return Expression(common(found, other), value)

    def _or(self) -> Expression:
        return self._logical("||", self._and, lambda one, other, context: one(context) or other(context))

    def _and(self) -> Expression:
        return self._logical("&&", self._compared, lambda one, other, context: one(context) and other(context))

    def _logical(self, sign: str, deeper: Callable[[], Expression], both: Callable[..., Any]) -> Expression:
        found = deeper()
        while self._took(sign):
            one, other = found, deeper()
            for side in (one, other):
                require(side, "bool", f"beside {sign}")
            found = Expression("bool", partial(both, one.value, other.value))
        return found

    def _compared(self) -> Expression:
        one = self._sum()
        if self._next not in _COMPARED:
            return one
        sign = self._take()
        other = self._sum()
        if sign in _ORDERED:
            require(one, "int", f"before {sign}")
            require(other, "int", f"after {sign}")
        elif "null" not in (one.type, other.type) and one.type != other.type:
            raise ValueError(f"{one.type} and {other.type} are not compared")
        compare = _COMPARED[sign]
        return Expression("bool", lambda context: compare(one.value(context), other.value(context)))

    def _sum(self) -> Expression:
        found = self._unary()
        while self._took("+"):
            found = added(found, self._unary())
        return found

    def _unary(self) -> Expression:
        if self._took("!"):
            inner = self._unary()
            require(inner, "bool", "after !")
            return Expression("bool", lambda context: not inner.value(context))
        if self._next == "(" and self._ahead(1) in _CASTS and self._ahead(2) == ")":
            _, name, _ = self._take(), self._take(), self._take()
            return cast(self._unary(), _CASTS[name])
        return self._postfix(self._primary())

    def _primary(self) -> Expression:
        part = self._take()
        if part == "(":
            found = self._conditional()
            self._expect(")")
            return found
        if part.startswith(('"', "@")):
            return constant("string", _literal(part))
        if part.isdigit():
            return constant("int", int(part))
        if part in _LITERALS:
            return constant("null" if part == "null" else "bool", _LITERALS[part])
        if part == "context":
            return Expression("context", lambda context: context)
        if self._next == "." and f"{part}.{self._ahead(1)}" in STATIC:
            self._take()
            name = f"{part}.{self._take()}"
            return self._called(name, STATIC[name], None, optional=False)
        raise ValueError(f"{part!r} is not among what the local twin understands")

    def _postfix(self, found: Expression) -> Expression:
        whole = self._chain(found)

        def value(context: Any) -> Any:
            try:
                return whole.value(context)
            except Absent:
                return None

        return Expression(whole.type, value)

    def _chain(self, found: Expression) -> Expression:
        while self._next in (".", "?.", "["):
            sign = self._take()
            if sign == "[":
                found = self._indexed(found)
                continue
            name = self._take()
            if self._next == "<":
                self._type_argument(name)
            if self._next == "(":
                found = self._called(name, known(METHODS, found.type, name, "method"), found, optional=sign == "?.")
            else:
                found = read(found, known(MEMBERS, found.type, name, "member"), optional=sign == "?.")
        return found

    def _type_argument(self, name: str) -> None:
        if self._tokens[self._at : self._at + 3] != ["<", "string", ">"]:
            raise ValueError(f"{name} is understood with <string> alone")
        self._at += 3

    def _indexed(self, owner: Expression) -> Expression:
        if owner.type not in INDEXES:
            raise ValueError(f"{owner.type} has no index")
        member, key = INDEXES[owner.type], self._conditional()
        self._expect("]")
        require(key, member.arguments[0], "as an index")
        return Expression(member.type, lambda context: member.get(present(owner.value(context)), key.value(context)))

    def _called(self, name: str, member: Member, owner: Expression | None, *, optional: bool) -> Expression:
        self._expect("(")
        given: list[Expression] = []
        while not self._took(")"):
            if given:
                self._expect(",")
            given.append(self._conditional())
        least = len(member.arguments) - member.optional
        if not least <= len(given) <= len(member.arguments):
            raise ValueError(f"{name} takes {least} to {len(member.arguments)} arguments, not {len(given)}")
        for one, wanted in zip(given, member.arguments, strict=False):
            require(one, wanted, f"as an argument of {name}")

        def value(context: Any) -> Any:
            values = [one.value(context) for one in given]
            if owner is None:
                return member.get(*values)
            return member.get(owner_of(owner, context, optional), *values)

        return Expression(member.type, value)


def _literal(token: str) -> str:
    if token.startswith("@"):
        return token[2:-1].replace('""', '"')
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), token[1:-1])
