"""From tokens to text as they come: whole characters, without what may still turn out to be a text to stop at."""

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class Writing:
    """One text that grows. `text` is what is certain of it, `stopped` whether a text to stop at came, which is no part of it."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._stream = DecodeStream(skip_special_tokens=True)
        self._tokens: list[int] = []
        self._whole = ""
        self._told = 0
        self.stopped = False

    @property
    def text(self) -> str:
        return self._whole[: self._told]

    @property
    def tokens(self) -> int:
        return len(self._tokens)

    def add(self, token: int) -> str:
        """What becomes certain with another token."""
        self._tokens.append(token)
        self._whole += self._stream.step(self._tokenizer, token) or ""
        if self._cut():
            return self._tell(len(self._whole))
        return self._tell(len(self._whole) - self._held())

    def finish(self) -> str:
        """What is left, when no token comes any more."""
        if not self.stopped:
            # Bytes that are no character yet stay none.
            whole = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
            if whole.startswith(self._whole):
                self._whole = whole
            self._cut()
        return self._tell(len(self._whole))

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
