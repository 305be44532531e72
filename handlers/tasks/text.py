"""A text through tokenizer and engine: what all text tasks have in common."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tokenizers import Encoding, Tokenizer

from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import ModelError
from handlers.functions.problems import InternalFault
from handlers.functions.requests import PredictionRequest

Array = np.ndarray[Any, Any]
_FIRST_CHARACTERS = 16_384
# More than one word can become: WordPiece takes words up to 100 characters apart, and longer ones as one unknown token.
_TOKENS_BEYOND = 128


# What a ping asks a text task: the shortest way through the whole path of a request.
PING = PredictionRequest(("ping",), many=False, parameters={})


class Engine(Protocol):
    """What an engine gives a task: the model's first output for one text."""

    def run(self, tokens: Array, types: Array, cancellation: Cancellation) -> Array: ...


def load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer with truncation to `max_tokens` and no padding, whatever its file says. Raises ModelError."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for a file that it can't read
        raise ModelError(f"{path} is not a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def encode(tokenizer: Tokenizer, text: str, pair: str | None = None) -> Encoding:
    """The tokens of a text, truncated, as if the whole text had been tokenized, at a cost that follows the tokens kept.

    With `pair` those of both, where the tokenizer cuts the first alone.

    Tokenizers cut only after they have tokenized everything: 4 MB of text cost 4 s and 1.6 GB, enough to kill a small
    container. Where the text ends changes its last word only, so a beginning with enough tokens after the cut is as good.
    """
    beside = tokenizer.num_special_tokens_to_add(pair is not None)
    if pair is not None:
        beside += len(tokenizer.encode(pair, add_special_tokens=False).ids)
    length = _FIRST_CHARACTERS
    while length < len(text):
        encoding = tokenizer.encode(text[:length], pair)
        if sum(len(part.ids) - beside for part in encoding.overflowing) >= _TOKENS_BEYOND:
            return encoding
        length *= 4
    return tokenizer.encode(text, pair)


class TextModel:
    """Tokenizer and engine of one model. Each text is computed by itself, so no padding can change its numbers."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine) -> None:
        self._tokenizer = tokenizer
        self._engine = engine

    @property
    def tokenizer(self) -> Tokenizer:
        """For tasks that look at tokens themselves, or cut them otherwise."""
        return self._tokenizer

    def tokens(self, text: str) -> int:
        """How many tokens `forward` computes for a text."""
        return len(encode(self._tokenizer, text).ids)

    def forward(self, text: str, cancellation: Cancellation) -> Array:
        """The model's output for one text, shape (1, …), float32. Raises Cancelled, and InternalFault for numbers that are none."""
        return self.compute(encode(self._tokenizer, text), cancellation)

    def compute(self, encoding: Encoding, cancellation: Cancellation) -> Array:
        """The same for tokens."""
        tokens = np.array([encoding.ids], dtype=np.int64)
        types = np.array([encoding.type_ids], dtype=np.int64)
        output = self._engine.run(tokens, types, cancellation)
        if not np.isfinite(output).all():
            raise InternalFault("The model computed a value that is not a number for this input.")
        return output
