"""The interpreter of policies: what a section holds with everything that `<base/>` stands for, and what each policy does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pilotlight.twin.azure.apim_call import ApiResponse, Call, Headers, LastError, PolicyFailure
from pilotlight.twin.azure.apim_expression_members import Jwt, text_of
from pilotlight.twin.azure.apim_expression_types import EvaluationError
from pilotlight.twin.azure.apim_expressions import evaluated
from pilotlight.twin.azure.apim_policy_check import NAMED_VALUE
from pilotlight.twin.azure.apim_policy_limits import Limits
from pilotlight.twin.azure.apim_policy_xml import Element

INTERNAL = "Internal server error"


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document that was judged: where it is stored (`scope`, and the id of that), and its root."""

    scope: str
    id: str
    root: Element


class Means(Protocol):
    """What policies need of the service that they are stored in. Each of the methods may raise PolicyFailure."""

    limits: Limits

    def named_value(self, name: str) -> str: ...

    def backend(self, name: str) -> str:
        """The URL of a backend."""

    def token(self, client_id: str | None, resource: str) -> str:
        """An access token of the service's own identity, or of the one with that client id."""

    async def verified(self, token: str, wanted: Wanted) -> Jwt:
        """The token, which is good."""

    async def forward(self, call: Call, how: Forwarding) -> ApiResponse:
        """The backend's answer."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a token must be: see `validate-jwt`. `claims` are (name, values, whether all of them, separator)."""

    configurations: tuple[str, ...]
    audiences: tuple[str, ...]
    issuers: tuple[str, ...]
    claims: tuple[tuple[str, tuple[str, ...], bool, str | None], ...]
    expires: bool
    signed: bool
    skew_s: int


@dataclass(frozen=True, kw_only=True)
class Forwarding:
    timeout_s: float
    follow_redirects: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """One policy of a section, with the document that it is of and its place there."""

    element: Element
    document: Document
    number: int


def steps(section: str, documents: list[Document]) -> Iterator[Step]:
    """The policies of a section, of the narrowest scope first in `documents`: `<base/>` is all of the next wider one.

    A document without the section leaves it to the next one.
    """
    if not documents:
        return
    own = documents[0].root.all(section)
    if not own:
        yield from steps(section, documents[1:])
        return
    for number, element in enumerate(own[0].children):
        if element.name == "base":
            yield from steps(section, documents[1:])
        else:
            yield Step(element=element, document=documents[0], number=number)


Handler = Callable[["Run", Element], Awaitable[None]]


class Run:
    """One call's way through its policies."""

    def __init__(self, call: Call, documents: list[Document], means: Means, handlers: Mapping[str, Handler]) -> None:
        """`documents` begin with that of the narrowest scope; `handlers` are by the policy's name."""
        self.call, self.means = call, means
        self._documents, self._handlers = documents, handlers
        self._step: Step | None = None

    async def section(self, name: str) -> None:
        """PolicyFailure, of which `call.error` then tells; Finished."""
        for step in steps(name, self._documents):
            self._step = step
            try:
                await self._perform(step.element)
            except PolicyFailure as failure:
                self._tell(failure, name, step)
                raise
            except EvaluationError as error:
                text = f"Expression evaluation failed. {error}"
                unevaluated = PolicyFailure(500, "ExpressionValueEvaluationFailure", text, told=INTERNAL)
                self._tell(unevaluated, name, step)
                raise unevaluated from None

    async def _perform(self, element: Element) -> None:
        await self._handlers[element.name](self, element)

    async def all(self, elements: Iterable[Element]) -> None:
        for element in elements:
            await self._perform(element)

    def _tell(self, failure: PolicyFailure, section: str, step: Step) -> None:
        element = step.element
        self.call.error = LastError(
            source=element.name,
            reason=failure.reason,
            message=failure.message,
            section=section,
            scope=step.document.scope,
            path=element.name,
            policy_id=element.attributes.get("id", ""),
        )

    def value(self, text: str) -> Any:
        """What a text says for this call: named values put in, then evaluated. EvaluationError."""
        return evaluated(NAMED_VALUE.sub(lambda found: self.means.named_value(found[1]), text), self.call)

    def text(self, element: Element, name: str, default: str = "") -> str:
        """An attribute's text."""
        given = element.attributes.get(name)
        return default if given is None else text_of(self.value(given))

    def flag(self, element: Element, name: str, default: bool = False) -> bool:
        return self.text(element, name, str(default)).lower() == "true"

    def number(self, element: Element, name: str, default: int = 0) -> int:
        """EvaluationError for an expression whose value is no number."""
        text = self.text(element, name, str(default))
        try:
            return int(text)
        except ValueError:
            raise EvaluationError(f"Input string was not in a correct format: {text!r} of {name}.") from None

    def texts(self, elements: Iterable[Element]) -> tuple[str, ...]:
        return tuple(text_of(self.value(element.text)) for element in elements)

    @property
    def counter(self) -> tuple[str, int]:
        """What counters of the policy that runs have in common: its document, and its place there."""
        assert self._step is not None
        return self._step.document.id, self._step.number

    @property
    def headers(self) -> Headers:
        """What a policy of this moment changes: the answer's once there is one."""
        return self.call.request.headers if self.call.response is None else self.call.response.headers
