"""Figures of several processes: each writes its own where the others can read them, so that one answer to `GET /metrics` has all."""

import mmap
import struct
import zlib
from collections.abc import Sequence

_SLOT_BYTES = 65_536
# Length and checksum of what is written: whoever reads while it is written sees that it is torn.
_HEAD = struct.Struct("<II")
_TRIES = 5
_GAUGE = " gauge"
# What of a gauge is told for all; of everything else the sum.
_GAUGES = {"pilotlight_ready": min, "pilotlight_cold_start_seconds": max, "pilotlight_model_info": max}


class Board:
    """Memory that forked processes share, a slot for each."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)
        self._read_last = [""] * slots

    def slot(self, place: int) -> "Slot":
        return Slot(self, place)

    def write(self, place: int, text: str) -> None:
        body, at = text.encode()[: _SLOT_BYTES - _HEAD.size], place * _SLOT_BYTES
        self._memory[at : at + _HEAD.size] = _HEAD.pack(0, 0)
        self._memory[at + _HEAD.size : at + _HEAD.size + len(body)] = body
        self._memory[at : at + _HEAD.size] = _HEAD.pack(len(body), zlib.crc32(body))

    def read(self, place: int) -> str:
        """What was written last; where its writer was stopped in the middle, what this process read before, so that no counter falls."""
        at = place * _SLOT_BYTES
        for _ in range(_TRIES):
            length, checksum = _HEAD.unpack(self._memory[at : at + _HEAD.size])
            body = self._memory[at + _HEAD.size : at + _HEAD.size + length]
            if length and zlib.crc32(body) == checksum:
                self._read_last[place] = body.decode()
                break
        return self._read_last[place]

    def others(self, place: int) -> list[str]:
        return [text for other in range(self._slots) if other != place and (text := self.read(other))]


class Slot:
    """The figures of one process. It begins with what its slot has of one that ended, so that no counter falls."""

    def __init__(self, board: Board, place: int) -> None:
        self._board = board
        self._place = place
        self._before = _without_gauges(board.read(place))

    def write(self, text: str) -> None:
        self._board.write(self._place, merged([text, self._before]))

    def whole(self, text: str) -> str:
        """This process's figures now with those of all others, which are up to half a second old."""
        return merged([text, self._before, *self._board.others(self._place)])


def merged(texts: Sequence[str]) -> str:
    """Several expositions as one: counters are added."""
    families: dict[str, dict[str, float]] = {}
    for line in (line for text in texts for line in text.splitlines()):
        if line.startswith("#"):
            family = families.setdefault(line, {})
            continue
        name, _, value = line.rpartition(" ")
        how = _GAUGES.get(name.partition("{")[0])
        before = family.get(name)
        family[name] = float(value) if before is None else how(before, float(value)) if how else before + float(value)
    return "".join(f"{head}\n" + "".join(f"{name} {value:.12g}\n" for name, value in family.items()) for head, family in families.items())


def _without_gauges(text: str) -> str:
    kept, gauge = [], False
    for line in text.splitlines():
        if line.startswith("#"):
            gauge = line.endswith(_GAUGE)
        if not gauge:
            kept.append(line)
    return "\n".join(kept)
