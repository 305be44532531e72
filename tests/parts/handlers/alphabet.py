"""A model that knows the alphabet, where torch is not needed: it goes on with the next letter, and ends behind z."""

import time

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from handlers.engines.manifest import Generation, Manifest
from handlers.tasks.text_generation import TextGeneration

TASK = "text-generation"
END, CONTEXT = 256, 64
TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'developer' %}{{ raise_exception('no developers') }}{% endif %}"
    "{{ message.content }}{% endfor %}"
)


def byte_tokenizer(most: int = CONTEXT + 1) -> Tokenizer:
    """A token for each byte, and one that ends a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({character: number for number, character in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["</s>"])
    made.enable_truncation(most)
    return made


class Alphabet:
    """A generator whose rows are what was read of them; `pause_s` is how long a step takes. Behind ! it breaks, behind ? is no number,
    unless it is `sound`."""

    words = END + 1

    def __init__(self, tokenizer: Tokenizer, pause_s: float = 0.0, *, sound: bool = False) -> None:
        self._next = {tokenizer.token_to_id(chr(place)): tokenizer.token_to_id(chr(place + 1)) for place in range(97, 122)}
        self._breaks, self._none = (None if sound else tokenizer.token_to_id(character) for character in "!?")
        self.pause_s = pause_s
        self.rows: list[list[int]] = []
        self.read_at_once: list[int] = []
        self.steps = 0

    def begin(self):
        return []

    def read(self, prompt, tokens, check):
        check()
        prompt.extend(tokens)
        self.read_at_once.append(len(tokens))
        return self._behind(prompt)

    def join(self, prompt):
        self.rows.append(prompt)

    def leave(self, row):
        self.rows[row] = self.rows[-1]
        self.rows.pop()

    def step(self, tokens):
        assert len(tokens) == len(self.rows)
        time.sleep(self.pause_s)
        self.steps += 1
        for row, token in zip(self.rows, tokens, strict=True):
            row.append(token)
        return np.stack([self._behind(row) for row in self.rows])

    def _behind(self, row):
        if row[-1] == self._breaks:
            raise RuntimeError("it broke")
        logits = np.zeros(self.words, np.float32)
        logits[self._next.get(row[-1], END)] = np.nan if row[-1] == self._none else 5
        return logits


def manifest(template: str | None = TEMPLATE) -> Manifest:
    return Manifest(
        source="folder:alphabet",
        task=TASK,
        engine="torch",
        architecture="LlamaForCausalLM",
        max_tokens=CONTEXT,
        labels=None,
        pooling=None,
        normalize=False,
        problem_type=None,
        files={},
        generation=Generation(ends=(END,), chat_template=template, bos_token="", eos_token="</s>"),
    )


def alphabet_model(pause_s: float = 0.0, places: int = 2, *, sound: bool = False) -> TextGeneration:
    tokenizer = byte_tokenizer()
    return TextGeneration(Alphabet(tokenizer, pause_s, sound=sound), tokenizer, manifest(), places)
