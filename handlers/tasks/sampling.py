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
    # A temperature of next to nothing makes numbers that are none.
    scores = (logits.astype(np.float64) - logits.max()) / max(wishes.temperature, 1e-4)
    order = np.argsort(-scores, kind="stable")[: wishes.top_k]
    chances = np.exp(scores[order])
    chances /= chances.sum()
    if wishes.top_p < 1:
        # The likeliest ones that come to top_p together, the one included that reaches it.
        kept = int(np.searchsorted(chances.cumsum(), wishes.top_p)) + 1
        order, chances = order[:kept], chances[:kept] / chances[:kept].sum()
    return int(random.choice(order, p=chances))


def log_chance(logits: Array, token: int) -> float:
    """The logarithm of the chance that the model gives a token, before any wish."""
    shifted = logits.astype(np.float64) - logits.max()
    return float(shifted[token] - np.log(np.exp(shifted).sum()))
