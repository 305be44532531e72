"""What transformers answered for MiniLM (recorded by `python -m tests.torch --record`), to compare with where no torch is at hand."""

import json
import math
from pathlib import Path
from typing import Any

RECORDED: dict[str, Any] = json.loads((Path(__file__).resolve().parents[1] / "data" / "minilm_vectors.json").read_text())
TEXTS: dict[str, dict[str, Any]] = {entry["name"]: entry for entry in RECORDED["texts"]}


def assert_agrees(name: str, outputs: Any) -> None:
    """`outputs` is a feature-extraction answer for one text, `[1][tokens][384]`, equal to the recorded one within its tolerance."""
    entry, tolerance = TEXTS[name], RECORDED["tolerance"]
    [tokens] = outputs
    assert len(tokens) == entry["tokens"]
    for index, start in entry["starts"].items():
        for found, expected in zip(tokens[int(index)], start, strict=False):
            assert math.isclose(found, expected, abs_tol=tolerance), f"{name}, token {index}: {found} is not {expected}"
    numbers = [number for token in tokens for number in token]
    assert math.isclose(sum(numbers) / len(numbers), entry["mean"], abs_tol=tolerance)
    assert math.isclose(sum(number * number for number in numbers) / len(numbers), entry["mean_of_squares"], abs_tol=tolerance)


def assert_embeds(name: str, outputs: Any) -> None:
    """`outputs` is a sentence-embedding answer for one text, `[384]` or `[1][384]`, equal to the recorded one within its tolerance."""
    [found] = outputs if isinstance(outputs[0], list) else [outputs]
    expected = TEXTS[name]["sentence"]
    assert len(found) == len(expected)
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert math.isclose(one, other, abs_tol=RECORDED["tolerance"]), f"{name}, number {index}: {one} is not {other}"
