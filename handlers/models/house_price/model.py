"""An example of a model of one's own: the price of a house, by a line through invented figures."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from handlers.functions.problems import InputRefused

_LEAST_PER_ROOM = 4.0


@dataclass(frozen=True)
class House:
    """What a house is judged by."""

    square_metres: Annotated[float, Meta(gt=0, le=100_000)]
    rooms: Annotated[int, Meta(ge=1, le=1000)]
    condition: Literal["poor", "fair", "good"] = "fair"


@dataclass(frozen=True)
class Price:
    """In the currency of the weights."""

    price: float


@dataclass(frozen=True)
class Rounding:
    """The caller's choice: prices to the nearest multiple of this."""

    nearest: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class Model:
    """Linear in the space and the rooms, times the condition."""

    example = House(square_metres=120, rooms=5, condition="good")

    def load(self, folder: Path, threads: int) -> None:
        """`folder` holds the files that were packaged; `threads` is how many a computation may use."""
        self._weights = json.loads((folder / "weights.json").read_text())

    def predict(self, inputs: list[House], parameters: Rounding) -> list[Price]:
        """One price per house, in order."""
        return [self._price(house, parameters.nearest) for house in inputs]

    def _price(self, house: House, nearest: int) -> Price:
        if house.square_metres / house.rooms < _LEAST_PER_ROOM:
            raise InputRefused(f"{house.rooms} rooms in {house.square_metres:g} square metres: a room has {_LEAST_PER_ROOM:g} at least.")
        weights = self._weights
        price = weights["base"] + weights["per_square_metre"] * house.square_metres + weights["per_room"] * house.rooms
        return Price(nearest * round(price * weights["by_condition"][house.condition] / nearest))
