"""A request whose texts are continued, and each of its texts on the way."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np

from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.tasks.sampling import Wishes
from handlers.tasks.writing import Writing

# Why a text is over, as OpenAI's clients know it.
STOP, LENGTH = "stop", "length"


class Piece(NamedTuple):
    """What a token added to the text of an input: `place` is the input's, `details` are the token's where they are asked for,
    `output` the whole answer where it was the last token."""

    place: int
    text: str
    details: dict[str, Any] | None
    output: dict[str, Any] | None


Told = Callable[[Piece], None]


class Opened:
    """A request of so many `inputs`: its rows, which are all of them before one is computed, and whether it was given up or failed."""

    def __init__(self, many: bool, inputs: int, cancellation: Cancellation, told: Told | None) -> None:
        self.many = many
        self.inputs = inputs
        self.cancellation = cancellation
        self.told = told
        self.failure: BaseException | None = None
        self.rows: list[Row] = []

    @property
    def given_up(self) -> bool:
        """Whether nothing of it needs to be computed any more."""
        return self.failure is not None or self.cancellation.cancelled

    @property
    def done(self) -> bool:
        return self.given_up or all(row.reason for row in self.rows)

    def outputs(self) -> Any:
        """The answer. Raises what it failed with, Cancelled."""
        if self.failure is not None:
            raise self.failure
        if not all(row.reason for row in self.rows):
            raise Cancelled
        answers = [[row.output()] for row in self.rows]
        return answers if self.many else answers[0]


class Row:
    """One text: its prompt, of which `read` tokens are read, and what was written behind it, up to one of the tokens `stops`. `reason`
    tells why it is over."""

    def __init__(
        self, of: Opened, index: int, text: str, tokens: list[int], wishes: Wishes, writing: Writing, stops: Collection[int] = ()
    ) -> None:
        self.of = of
        self.tokens = tokens
        self.wishes = wishes
        self.random = np.random.default_rng(None if wishes.seed is None else [wishes.seed, index])
        self.prompt: Any = None
        self.read = self.last = 0
        self.reason = ""
        self._index = index
        self.text = text
        self._writing = writing
        self._stops = stops
        self._details: list[dict[str, Any]] = []

    def take(self, token: int, *, ends: bool, details: dict[str, Any] | None) -> None:
        """Another token, which may be the last; one that `ends` the text is no part of it."""
        self.last = token
        came = "" if ends else self._writing.add(token)
        over = ends or token in self._stops
        if over or self._writing.stopped or self._writing.tokens == self.wishes.most:
            # Half a character is told with the end alone, and a text to stop at with it.
            came += self._writing.finish()
            self.reason = STOP if over or self._writing.stopped else LENGTH
        if details is not None:
            details |= {"text": came}
            self._details.append(details)
        if self.of.told is not None and (came or self.reason or details is not None):
            self.of.told(Piece(self._index, came, details, self.output() if self.reason else None))

    def output(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "generated_text": self.text * self.wishes.full + self._writing.text,
            "finish_reason": self.reason,
            "prompt_tokens": len(self.tokens),
            "generated_tokens": self._writing.tokens,
        }
        return found | ({"tokens": self._details} if self.wishes.details else {})
