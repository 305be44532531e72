"""Which token comes next: the likeliest, or one drawn as the caller asked for it. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from handlers.functions.parameters import Unnamed

Array = np.ndarray[Any, Any]


class Wishes(NamedTuple):
    """How a text is continued, by up to `most` tokens, a number that the caller `named` or not; with `temperature` 0 every one of them is
    the likeliest."""

    most: int
    named: bool = False
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    full: bool = False
    details: bool = False
    special: bool = True


def wishes_of(parameters: Mapping[str, Any], default: int) -> Wishes:
    """What checked parameters ask for. Something is drawn where `do_sample`, or a number of drawing, asks for it."""
    most = parameters.get("max_new_tokens", Unnamed(default))
    temperature, top_k, top_p = (parameters.get(name) for name in ("temperature", "top_k", "top_p"))
    draws = parameters.get("do_sample")
    if draws is None:
        draws = any(value is not None for value in (temperature, top_k, top_p))
    return Wishes(
        most=most,
        named=not isinstance(most, Unnamed),
        temperature=(1.0 if temperature is None else float(temperature)) if draws else 0.0,
        top_k=top_k,
        top_p=1.0 if top_p is None else float(top_p),
        seed=parameters.get("seed"),
        stop=tuple(parameters.get("stop") or ()),
        full=bool(parameters.get("return_full_text")),
        details=bool(parameters.get("details")),
        special=parameters.get("add_special_tokens", True) is not False,
    )


def choose(logits: Array, wishes: Wishes, random: np.random.Generator) -> int:
    """The next token by the logits of one row. What is drawn from is cut as transformers does it: temperature, `top_k`, `top_p`."""
    if wishes.temperature == 0:
        return int(logits.argmax())
    tokens, chances = drawn_from(logits, wishes)
    reached = chances.cumsum()
    reached /= reached[-1]
    return int(tokens[np.searchsorted(reached, random.random(), side="right")])


def drawn_from(logits: Array, wishes: Wishes) -> tuple[Array, Array]:
    """The tokens that one is drawn from, and how likely each is beside the others. Sorted is only what has to be: a vocabulary of 128,000
    words would take 20 ms for each token."""
    tokens = np.arange(logits.size)
    if wishes.top_k is not None and wishes.top_k < logits.size:
        # Those as likely as the last one of them stay.
        tokens = np.flatnonzero(logits >= np.partition(logits, -wishes.top_k)[-wishes.top_k])
    # A temperature of next to nothing makes numbers that are none.
    chances = np.exp((logits[tokens].astype(np.float64) - logits.max()) / max(wishes.temperature, 1e-4))
    if wishes.top_p < 1:
        chances /= chances.sum()
        # What is less likely than this does not come to what may be left out, all of it together.
        likely = np.flatnonzero(chances >= (1 - wishes.top_p) / chances.size)
        order = likely[np.argsort(-chances[likely], kind="stable")]
        # The likeliest ones that come to top_p together, the one included that reaches it.
        order = order[: int(np.searchsorted(chances[order].cumsum(), wishes.top_p)) + 1]
        tokens, chances = tokens[order], chances[order]
    return tokens, chances


def log_chance(logits: Array, token: int) -> float:
    """The logarithm of the chance that the model gives a token, before any wish."""
    shifted = logits.astype(np.float64) - logits.max()
    return float(shifted[token] - np.log(np.exp(shifted).sum()))
