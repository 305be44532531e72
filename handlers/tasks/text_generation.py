"""Task `text-generation`: texts that are continued side by side, a token each at a time. Who comes joins between two steps."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from tokenizers import Tokenizer

from handlers.engines import EngineLost
from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import Manifest, ModelError
from handlers.functions.parameters import DEFAULT_NEW_TOKENS
from handlers.functions.problems import InputRefused, InternalFault
from handlers.functions.requests import PredictionRequest
from handlers.tasks.continuing import Opened, Row, Told
from handlers.tasks.sampling import Array, Wishes, choose, log_chance, wishes_of
from handlers.tasks.text import encode, finite
from handlers.tasks.writing import Writing

# Of a prompt between two steps of the others, and of texts that become tokens: they wait for no longer than that takes.
_CHUNK, _CHARACTERS = 256, 16_384


class Generator(Protocol):
    """What an engine gives this task, as `handlers/engines/rows.py` has it: the rows of its batch are numbered without a gap."""

    @property
    def words(self) -> int: ...
    def begin(self) -> Any: ...
    def read(self, prompt: Any, tokens: Sequence[int], check: Callable[[], None]) -> Array: ...
    def join(self, prompt: Any) -> None: ...
    def leave(self, row: int) -> None: ...
    def step(self, tokens: Sequence[int]) -> Array: ...


class TextGeneration:
    """Answers `[{"generated_text", "finish_reason", "prompt_tokens", "generated_tokens"}]` for a text, a list of those for a list."""

    warm_up = PredictionRequest(("ping",), many=False, parameters={"max_new_tokens": 1})

    def __init__(self, generator: Generator, tokenizer: Tokenizer, manifest: Manifest, places: int) -> None:
        """`places` texts go on at once. Raises ModelError for a tokenizer of another model."""
        if manifest.generation is None:
            raise ModelError(f"manifest.json has no 'generation', which {manifest.task} needs: package the model again.")
        largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        if largest >= generator.words:
            raise ModelError(f"tokenizer.json knows token number {largest}, the model has {generator.words}: they don't belong together.")
        self._generator = generator
        self._tokenizer = tokenizer
        self._context = manifest.max_tokens
        self._ends = frozenset(manifest.generation.ends)
        self._special = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self._places = places
        self._opened: list[Opened] = []
        # Requests whose texts are no tokens yet, all of them: a request is refused as a whole, before anything is computed of it.
        self._opening: deque[tuple[Opened, Iterator[Row]]] = deque()
        self._coming: deque[Row] = deque()
        self._batch: list[Row] = []
        self._read = self._written = 0

    @property
    def free(self) -> int:
        """How many more texts can go on at once."""
        return self._places - len(self._coming) - len(self._batch) - sum(opened.inputs for opened, _ in self._opening)

    def counted(self) -> dict[str, int]:
        """How many tokens were read and written."""
        return {"text": self._read, "generated": self._written}

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any:
        """The answer to one request where nobody else asks. Raises Cancelled, RequestProblem."""
        opened = self.begin(request, cancellation)
        while opened not in self.step():
            pass
        return opened.outputs()

    def begin(self, request: PredictionRequest, cancellation: Cancellation, told: Told | None = None) -> Opened:
        """Let a request go on with the others from the next step on, once all of its texts are tokens; `told` hears every piece. Raises
        InputRefused, Cancelled."""
        opened = Opened(request.many, len(request.texts), cancellation, told)
        rows = self._rows(opened, request)
        if not self._open(opened, rows):
            self._opening.append((opened, rows))
        self._opened.append(opened)
        return opened

    def step(self) -> list[Opened]:
        """One more token for every text that goes on, behind a part of the prompt of the one that comes next. The requests that are over
        now, those that were given up among them."""
        self._let_go()
        if self._opening:
            self._open_on()
        if self._coming and len(self._batch) < self._places:
            self._read_on(self._coming[0])
            self._let_go()
        if self._batch:
            every = self._generator.step([row.last for row in self._batch])
            for row, logits in zip(self._batch, every, strict=True):
                self._take(row, logits)
            self._let_go()
        # Asked once of each: who waits may give up in between.
        done = {opened for opened in self._opened if opened.done}
        self._opened = [opened for opened in self._opened if opened not in done]
        return list(done)

    def reset(self) -> None:
        """Forget every text: a step broke, and what was computed of them can't be trusted."""
        while self._batch:
            self._leave(len(self._batch) - 1)
        self._opening.clear()
        self._coming.clear()
        self._opened.clear()

    def _open(self, opened: Opened, rows: Iterator[Row]) -> bool:
        """Some texts of a request become tokens; with the last one all of them come, and it is open. Raises InputRefused, Cancelled."""
        characters = 0
        for row in rows:
            opened.rows.append(row)
            if (characters := characters + len(row.text)) >= _CHARACTERS:
                break
        if len(opened.rows) < opened.inputs:
            return False
        self._coming.extend(opened.rows)
        return True

    def _open_on(self) -> None:
        """The same for the request that came first of those that are not open yet."""
        opened, rows = self._opening[0]
        try:
            over = self._open(opened, rows)
        except BaseException as error:  # noqa: BLE001  (its answer, a panic of what is below Python too)
            opened.failure, over = error, True
        if over:
            self._opening.popleft()

    def _rows(self, opened: Opened, request: PredictionRequest) -> Iterator[Row]:
        """A row for each text, made when it is asked for."""
        wishes = wishes_of(request.parameters, DEFAULT_NEW_TOKENS)
        # Their texts are left out of what is written, and would never be found in it.
        stops = frozenset(number for number, text in self._special.items() if text in wishes.stop)
        for index, text in enumerate(request.texts):
            opened.cancellation.check()
            tokens, settled = self._settled(text, wishes, f"inputs[{index}]" if request.many else "The text")
            yield Row(opened, index, text, tokens, settled, Writing(self._tokenizer, wishes.stop, tokens), stops)

    def _settled(self, text: str, wishes: Wishes, where: str) -> tuple[list[int], Wishes]:
        """The tokens of a prompt, and how many may come behind it: what a caller names is kept or refused, a default gives way."""
        tokens = list(encode(self._tokenizer, text, special=wishes.special).ids)
        if not tokens:
            raise InputRefused(f"{where} has no token, and nothing can be continued: send a text.")
        left = self._context - len(tokens)
        if left < 1:
            raise InputRefused(
                f"{where} has {self._context} tokens or more, and this model has {self._context} with the answer: shorten it."
            )
        if wishes.named and wishes.most > left:
            has = f"{where} has {len(tokens)} tokens and max_new_tokens is {wishes.most}"
            raise InputRefused(f"{has}: this model has {self._context} for both, so {left} are left.")
        return tokens, wishes._replace(most=min(wishes.most, left))

    def _read_on(self, row: Row) -> None:
        row.prompt = row.prompt or self._generator.begin()
        part = row.tokens[row.read : row.read + _CHUNK]
        try:
            logits = self._generator.read(row.prompt, part, row.of.cancellation.check)
        except Exception as error:  # noqa: BLE001  (its answer)
            row.of.failure = error
            return
        row.read += len(part)
        self._read += len(part)
        if row.read < len(row.tokens):
            return
        self._coming.popleft()
        self._take(row, logits)
        if not row.reason and not row.of.given_up:
            try:
                self._generator.join(row.prompt)
                self._batch.append(row)
            except Exception as error:  # noqa: BLE001  (its answer: there is no memory for it beside the others)
                row.of.failure = error
        row.prompt = None

    def _take(self, row: Row, logits: Array) -> None:
        """The next token of a row, by the logits behind its last one."""
        try:
            self._take_next(row, logits)
        except EngineLost:
            raise
        except BaseException as error:  # noqa: BLE001  (its answer, a panic of what is below Python too)
            row.of.failure = error

    def _take_next(self, row: Row, logits: Array) -> None:
        if not finite(logits):
            raise InternalFault("The model computed a value that is not a number for this input.")
        token = choose(logits, row.wishes, row.random)
        self._written += 1
        details = None
        if row.wishes.details:
            details = {"id": token, "logprob": log_chance(logits, token), "special": token in self._special}
        row.take(token, ends=token in self._ends, details=details)

    def _let_go(self) -> None:
        """Nothing is computed any more for a text that is over, or that nobody waits for."""
        for number in range(len(self._batch) - 1, -1, -1):
            if self._batch[number].reason or self._batch[number].of.given_up:
                self._leave(number)
        if any(row.of.given_up for row in self._coming):
            self._coming = deque(row for row in self._coming if not row.of.given_up)
        if any(opened.given_up for opened, _ in self._opening):
            self._opening = deque(each for each in self._opening if not each[0].given_up)

    def _leave(self, number: int) -> None:
        """As the engine does it: the last row takes the number."""
        self._generator.leave(number)
        self._batch[number] = self._batch[-1]
        self._batch.pop()
