"""Inputs of several objects in as few requests as fit, and what becomes of a request that is refused. Pure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from handlers.functions.objects import ObjectInputs

_ENVELOPE_BYTES = len(b'{"inputs":[]}')


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive texts of one object, which is known by its place in the wave."""

    owner: int
    texts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What goes to the model at once. With a `uri` it is one object that the model fetches for itself."""

    pieces: tuple[Piece, ...]
    parameters: dict[str, Any]
    uri: str | None = None

    @property
    def count(self) -> int:
        return sum(len(piece.texts) for piece in self.pieces)

    def body(self) -> bytes:
        inputs: object = {"uri": self.uri} if self.uri else [text for piece in self.pieces for text in piece.texts]
        value = {"inputs": inputs} | ({"parameters": self.parameters} if self.parameters else {})
        return _json(value)

    def halves(self) -> "tuple[Request, Request] | None":
        """Two requests in its place: of half of the objects each, then of half of the texts. None where nothing is left to part."""
        if self.uri is not None:
            return None
        if len(self.pieces) > 1:
            middle = len(self.pieces) // 2
            first, second = self.pieces[:middle], self.pieces[middle:]
        elif self.count > 1:
            (piece,) = self.pieces
            middle = len(piece.texts) // 2
            first, second = (Piece(piece.owner, piece.texts[:middle]),), (Piece(piece.owner, piece.texts[middle:]),)
        else:
            return None
        return Request(first, self.parameters), Request(second, self.parameters)


@dataclass(slots=True)
class _Open:
    """A request that is being filled."""

    parameters: dict[str, Any]
    room: int
    pieces: list[Piece] = field(default_factory=list)
    bytes: int = 0
    count: int = 0

    def closed(self) -> Request:
        return Request(tuple(self.pieces), self.parameters)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The most texts and bytes of one request; `merged_bytes` is less where answers have turned out too large."""

    inputs: int
    body_bytes: int
    merged_bytes: int


@dataclass(frozen=True, slots=True)
class Asked:
    """An object's inputs and its place; `alone` keeps it out of requests with others, `uri` is where the model finds it."""

    owner: int
    inputs: ObjectInputs
    alone: bool
    uri: str
    request_id: str


def plan(asked: Iterable[Asked], limits: Limits) -> list[Request]:
    """The requests for these objects, in order: as few as the limits allow, one set of parameters each.

    An object with a text that fits no request becomes a request by reference.
    """
    requests: list[Request] = []
    filling: dict[str, _Open] = {}
    for item in asked:
        sizes = [_size(text) for text in item.inputs.texts]
        envelope = _ENVELOPE_BYTES + (len(b',"parameters":') + len(_json(item.inputs.parameters)) if item.inputs.parameters else 0)
        room = limits.body_bytes - envelope
        if max(sizes) > room:
            requests.append(Request((Piece(item.owner, item.inputs.texts),), item.inputs.parameters, item.uri))
            continue
        shared = {} if item.alone else filling
        key = json.dumps(item.inputs.parameters, sort_keys=True)
        most = max(min(room, limits.merged_bytes), 1)
        requests += _fill(shared, key, item, sizes, _Open(item.inputs.parameters, most), limits.inputs)
        if item.alone:
            requests += [part.closed() for part in shared.values()]
    return requests + [part.closed() for part in filling.values()]


def _fill(filling: dict[str, _Open], key: str, item: Asked, sizes: Sequence[int], fresh: _Open, most: int) -> list[Request]:
    """Put the texts into the open request of their parameters; returns those that became full on the way."""
    full: list[Request] = []
    start = 0
    for place, size in enumerate(sizes):
        open_ = filling.setdefault(key, _Open(fresh.parameters, fresh.room))
        if open_.count and (open_.count == most or open_.bytes + size > open_.room):
            _add(open_, item, start, place)
            full.append(open_.closed())
            open_ = filling[key] = _Open(fresh.parameters, fresh.room)
            start = place
        open_.bytes += size
        open_.count += 1
    _add(filling[key], item, start, len(sizes))
    return full


def _add(open_: _Open, item: Asked, start: int, end: int) -> None:
    if end > start:
        open_.pieces.append(Piece(item.owner, item.inputs.texts[start:end]))


def _size(text: object) -> int:
    """Bytes of a text in a body, with its comma."""
    return len(_json(text)) + 1


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
