"""From tokens to text as they come: whole characters, without what may still turn out to be a text to stop at."""

from collections.abc import Sequence

from tokenizers import Tokenizer

# Of the prompt: a token is another text at the beginning, where some tokenizers drop its blank.
_BEFORE = 8
# Of bytes that are no character (yet), of which one has four at most.
_BROKEN, _MOST_BYTES = "\N{REPLACEMENT CHARACTER}", 4
# Tokens whose text is not known yet; more are told as they are.
_MOST_UNKNOWN = 16


class Writing:
    """One text that grows behind a prompt. `text` is what is certain of it, `stopped` whether a text to stop at came, which is no part of
    it; `tokens` are how many were added."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], prompt: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self.tokens = 0
        # The last tokens, of which the text of the first `_known` is written; what comes is what all of them have behind that. Some
        # tokenizers take bytes that are no whole character for none, all of them in a row: the first may not be in the middle of one.
        for before in range(_BEFORE, _BEFORE + _MOST_BYTES):
            self._last = list(prompt[-before:])
            if not tokenizer.decode(self._last, skip_special_tokens=True).startswith(_BROKEN):
                break
        self._known = len(self._last)
        self._whole = ""
        self._told = 0
        self.stopped = False

    @property
    def text(self) -> str:
        return self._whole[: self._told]

    def add(self, token: int) -> str:
        """What becomes certain with another token."""
        self.tokens += 1
        self._last.append(token)
        came = self._came()
        if (came and not came.endswith(_BROKEN)) or len(self._last) - self._known > _MOST_UNKNOWN:
            self._whole += came
            self._last, self._known = self._last[self._known :], len(self._last) - self._known
        if self._cut():
            return self._tell(len(self._whole))
        return self._tell(len(self._whole) - self._held())

    def finish(self) -> str:
        """What is left, when no token comes any more."""
        if not self.stopped:
            # Bytes that are no character yet stay none.
            self._whole += self._came()
            self._cut()
        return self._tell(len(self._whole))

    def _came(self) -> str:
        """The text of the tokens whose text is not written yet. By its length: bytes that are no character may change what is before them
        (tokenizers' own DecodeStream raises there)."""
        known, all_ = (self._tokenizer.decode(tokens, skip_special_tokens=True) for tokens in (self._last[: self._known], self._last))
        return str(all_[len(known) :])

    def _tell(self, end: int) -> str:
        told, self._told = self._told, max(self._told, end)
        return self._whole[told : self._told]

    def _cut(self) -> bool:
        """Cut at the first text to stop at; what was told already has none of it."""
        found = [place for stop in self._stop if (place := self._whole.find(stop, self._told)) >= 0]
        if found:
            self._whole, self.stopped = self._whole[: min(found)], True
        return self.stopped

    def _held(self) -> int:
        """How many characters of the end could be the beginning of a text to stop at."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for length in range(min(longest, len(self._whole) - self._told), 0, -1):
            if any(stop.startswith(self._whole[-length:]) for stop in self._stop):
                return length
        return 0
