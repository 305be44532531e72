"""Which texts the model computes at once: those of about one length, so that little of the work is padding. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

# Padding a text costs what its places cost; a run of its own costs about as much as 12 tokens do (MiniLM on two cores: 3.3 ms for one text
# of 16 tokens, 1.9 ms each for 32 of them). So a few places are padded in any case, and of a long text a quarter.
_FEW_PLACES = 16
_SHARE = 4
# Rows times the longest row. Beyond, a CPU gains nothing (8 texts of 128 tokens are 8 % faster together than alone), while the attention's
# scores grow with the square of the length: 2,048 places are 50 MB a layer for texts of 512 tokens and 12 heads. A GPU has more to fill.
CPU_PLACES, GPU_PLACES = 2048, 32_768


class Bounds(NamedTuple):
    """Of one run: `texts` at most, `places` of tokens and padding at most (but for a text that is longer), and whether texts can be padded
    at all."""

    texts: int
    places: int
    pads: bool


def runs_of(lengths: Sequence[int], bounds: Bounds) -> list[list[int]]:
    """The places of `lengths`, each in one run, the shortest texts first."""
    runs: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not runs or not _joins(runs[-1], place, lengths, bounds):
            runs.append([])
        runs[-1].append(place)
    return runs


def _joins(run: Sequence[int], place: int, lengths: Sequence[int], bounds: Bounds) -> bool:
    longest, shortest = lengths[place], lengths[run[0]]
    padding = max(_FEW_PLACES, longest // _SHARE) if bounds.pads else 0
    return len(run) < bounds.texts and (len(run) + 1) * longest <= bounds.places and longest - shortest <= padding
