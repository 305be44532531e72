"""A text through tokenizer and engine: what all text tasks have in common."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import ModelError
from handlers.functions.problems import InputRefused
from handlers.functions.requests import PredictionRequest
from handlers.tasks.runs import CPU_PLACES, GPU_PLACES, Bounds, runs_of

Array = np.ndarray[Any, Any]
_FIRST_CHARACTERS = 16_384
# Of which no tokenizer makes too few tokens but where they are no words: a quarter of a second (two cores of an AMD EPYC).
_MOST_CHARACTERS = 262_144
# Words, numbers and indented code have fewer characters a token.
_LETTERS_A_TOKEN = 32
# More than one word can become: WordPiece takes words up to 100 characters apart, and longer ones as one unknown token.
_TOKENS_BEYOND = 128
# Letters and digits that stay at least one each, whatever BERT's normalizer does to case and accents, and that its tokenizer never parts.
_LETTERS = r"[0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]"
_WORD_LETTERS = 256
# Tried where such letters begin, and nowhere within: else words that are nearly as long would cost their length for each letter.
_LONG_WORD = re.compile(rf"(?<!{_LETTERS})({_LETTERS}{{{_WORD_LETTERS}}}){_LETTERS}+")


# What a ping asks a text task: the shortest way through the whole path of a request.
PING = PredictionRequest(("ping",), many=False, parameters={})


class Engine(Protocol):
    """What an engine gives a task: the model's first output for texts of one length, where `mask` tells padding; `batches`, `pads` and
    `on_gpu` as in `onnx.py`."""

    batches: bool
    pads: bool
    on_gpu: bool

    def run(self, tokens: Array, types: Array, cancellation: Cancellation, mask: Array | None = None) -> Array: ...


class Tokens(NamedTuple):
    """What a model reads of a text, or of a pair: one number a token, and to which of the two it belongs."""

    ids: Sequence[int]
    types: Sequence[int]


def load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer with truncation to `max_tokens` and no padding, whatever its file says. Raises ModelError."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for a file that it can't read
        raise ModelError(f"{path} is not a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def encode(tokenizer: Tokenizer, text: str, pair: str | None = None, *, special: bool = True, offsets: bool = False) -> Encoding:
    """The tokens of a text, truncated, as if the whole text had been tokenized, at a cost that follows the tokens kept.

    There is one exception: a vocabulary with scores (Unigram) chooses a word's pieces by the whole of it, and one of more than 16,384
    letters may have other pieces here, by its beginning. Raises InputRefused for a text whose first 262,144 characters are too few tokens,
    as blanks are, or letters that all become one unknown token: 4 MB of them took up to 8 s.

    With `pair` those of both, where the tokenizer cuts the first alone. Without `special` none is added that the text does not have.
    Where tokens are in the text is right with `offsets` alone: without, long words are cut where that changes no token, since only the
    end of one tells what it is, and one of 4 MB would be read to its end.

    Tokenizers cut only after they have tokenized everything: 4 MB of text cost 4 s and 1.6 GB, enough to kill a small
    container. Where the text ends changes its last word only, so a beginning with enough tokens after the cut is as good.
    """
    beside = tokenizer.num_special_tokens_to_add(pair is not None) if special else 0
    if pair is not None:
        beside += len(tokenizer.encode(pair, add_special_tokens=False).ids)
    if not offsets:
        text = shortened(tokenizer, text)
    length = _FIRST_CHARACTERS
    while length < len(text):
        encoding = tokenizer.encode(text[:length], pair, add_special_tokens=special)
        beyond = sum(len(part.ids) - beside for part in encoding.overflowing)
        if beyond >= _TOKENS_BEYOND:
            return encoding
        # A model that reads this many tokens is given them.
        if length >= _MOST_CHARACTERS and (len(encoding.ids) + beyond) * _LETTERS_A_TOKEN < length:
            made = f"the first {length:,} of them make {len(encoding.ids) + beyond:,} tokens, too few for words"
            raise InputRefused(f"A text has {len(text):,} characters, and {made}: shorten it to {length:,} characters.")
        length *= 4
    return tokenizer.encode(text, pair, add_special_tokens=special)


def shortened(tokenizer: Tokenizer, text: str) -> str:
    """A text of the same tokens whose words are not longer than it takes to know each one's."""
    return _LONG_WORD.sub(r"\1", text) if len(text) > _FIRST_CHARACTERS and _cuts_words(tokenizer) else text


def _cuts_words(tokenizer: Tokenizer) -> bool:
    """Whether a word beyond `_WORD_LETTERS` is one unknown token to it, whatever its letters."""
    if not isinstance(tokenizer.normalizer, BertNormalizer) or not isinstance(tokenizer.pre_tokenizer, BertPreTokenizer):
        return False
    if not isinstance(tokenizer.model, WordPiece) or tokenizer.model.max_input_chars_per_word >= _WORD_LETTERS:
        return False
    return not any(each.content.isalnum() for each in tokenizer.get_added_tokens_decoder().values())


def finite(output: Array) -> bool:
    """Whether a model computed numbers; what is none would be a null in the answer."""
    return bool(np.isfinite(output).all())


class TextModel:
    """Tokenizer and engine of one model. `places` are the tokens that were computed, padding included, and `padding` how many were that."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine, most_texts: int = 1) -> None:
        """`most_texts` are computed at once, fewer where they are long."""
        self._tokenizer = tokenizer
        self._engine = engine
        self._bounds = Bounds(most_texts if engine.batches else 1, GPU_PLACES if engine.on_gpu else CPU_PLACES, engine.pads)
        self.places = self.padding = 0

    @property
    def tokenizer(self) -> Tokenizer:
        """For tasks that look at tokens themselves, or cut them otherwise."""
        return self._tokenizer

    def tokens(self, text: str) -> int:
        """How many tokens are computed for a text."""
        return len(encode(self._tokenizer, text).ids)

    def read(self, texts: Iterable[str]) -> Iterator[Tokens]:
        """The tokens of each text, made when they are asked for."""
        return (of_encoding(encode(self._tokenizer, text)) for text in texts)

    def runs(self, lengths: Sequence[int]) -> list[list[int]]:
        """Which texts of these lengths, by their places, are computed at once."""
        return runs_of(lengths, self._bounds)

    def compute(self, texts: Sequence[Tokens], cancellation: Cancellation) -> list[Array]:
        """The model's output for each text, shape (1, …), float32, as if it were alone: without a trace of padding. Raises Cancelled."""
        lengths = [len(text.ids) for text in texts]
        longest, tokens = max(lengths), sum(lengths)
        ids, types = (np.zeros((len(texts), longest), dtype=np.int64) for _ in range(2))
        for row, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            ids[row, :length], types[row, :length] = text.ids, text.types
        padded = tokens < ids.size
        mask = (np.arange(longest) < np.array(lengths)[:, None]).astype(np.int64) if padded else None
        output = self._engine.run(ids, types, cancellation, mask)
        self.places, self.padding = self.places + ids.size, self.padding + ids.size - tokens
        # A number for each token is cut to the text's own; one for the whole text has no such axis.
        by_token = padded and output.ndim > 2 and output.shape[1] == longest
        return [output[row : row + 1, :length] if by_token else output[row : row + 1] for row, length in enumerate(lengths)]


def of_encoding(encoding: Encoding) -> Tokens:
    """What the model reads of it: an encoding holds much more, for every token, and for those that were cut off. Raises InputRefused where
    there is nothing to read, as of an empty text to which a tokenizer adds nothing."""
    if not encoding.ids:
        raise InputRefused("A text has no token, and nothing can be computed of it: send a text.")
    return Tokens(encoding.ids, encoding.type_ids)
