"""Waves of a known shape, made up by their formulas: what the network learns from, what tests ask it.

python -m examples.waveform.waves square     # a request's body with one
"""

import json
import sys

import numpy as np
import numpy.typing as npt

SHAPES = ("sine", "square", "triangle", "sawtooth")
LENGTH = 128

Array = npt.NDArray[np.float32]


def waves(shape: str, count: int, seed: int, length: int = LENGTH) -> Array:
    """`count` waves, one a row, of random periods, phases, sizes and offsets, with noise of a twentieth of their size."""
    random = np.random.default_rng([SHAPES.index(shape), seed])
    period, phase, size, offset = (random.uniform(low, high, (count, 1)) for low, high in ((16, 48), (0, 1), (0.5, 5), (-5, 5)))
    turns = (np.arange(length) / period + phase) % 1
    formulas = {
        "sine": np.sin(2 * np.pi * turns),
        "square": np.where(turns < 0.5, 1.0, -1.0),
        "triangle": 1 - 4 * np.abs(turns - 0.5),
        "sawtooth": 2 * turns - 1,
    }
    return np.asarray(offset + size * (formulas[shape] + random.normal(0, 0.05, turns.shape)), dtype=np.float32)


def main(shape: str) -> None:
    (wave,) = waves(shape, 1, seed=7)
    print(json.dumps({"inputs": {"samples": [round(float(value), 3) for value in wave]}}))  # noqa: T201 (what it is for)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else SHAPES[0])
