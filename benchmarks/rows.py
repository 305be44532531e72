"""Rows of a comparison: servers measured in turns, where one that fails has a row with the reason."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.record import BenchmarkError, summary
from benchmarks.servers import Server

OURS = "ours"
Figures = dict[str, float]
# A peer's own too: a connection that it breaks, an answer in another shape than its documentation's.
_FAILURES = (BenchmarkError, OSError, LookupError, TypeError, ValueError)


class _Partly(BenchmarkError):
    """What could be measured of a server that did not stand the rest."""

    def __init__(self, figures: Figures, error: BenchmarkError) -> None:
        super().__init__(str(error))
        self.figures = figures


class Rows:
    """Servers by their names; ours must stand, of the others the first failure is the row's `error`, and it is not tried again."""

    def __init__(self, budget_s: float) -> None:
        """No round begins after `budget_s`, except the first."""
        self._budget_s = budget_s
        self._servers: dict[str, Server] = {}
        self._found: dict[str, list[Figures]] = {}
        self._errors: dict[str, str] = {}
        self.rounds = 0

    @staticmethod
    def partly(figures: Figures, error: BenchmarkError) -> BenchmarkError:
        """The error to raise where some figures are there all the same."""
        return _Partly(figures, error)

    def add(self, name: str, make: Callable[[], Server]) -> None:
        """Install and set up a server; takes minutes where its environment is not there yet."""
        self._found[name] = []
        try:
            self._servers[name] = make()
        except BenchmarkError as error:
            if name == OURS:
                raise
            self._errors[name] = _short(error)

    def warm(self, measured: Callable[[Server], Figures]) -> None:
        """Once each, which does not count; who fails here is not measured."""
        for name, server in self._servers.items():
            print(f"  not counted: {name} {self._one(name, server, measured)}", flush=True)
            self._found[name].clear()

    def take(self, rounds: int, measured: Callable[[Server], Figures]) -> None:
        """Measure each of them in every round."""
        until = time.monotonic() + self._budget_s
        while self.rounds < rounds and (self.rounds == 0 or time.monotonic() < until):
            # Another one begins each round: who comes behind whom is nobody's advantage.
            first = self.rounds % max(len(self._servers), 1)
            self.rounds += 1
            turns = list(self._servers.items())
            for name, server in turns[first:] + turns[:first]:
                if name not in self._errors:
                    print(f"  round {self.rounds} of {rounds}: {name} {self._one(name, server, measured)}", flush=True)

    def figures(self) -> dict[str, dict[str, Any]]:
        """Medians by row and figure, with an `error` where there is one."""
        rows = {}
        for name, all_ in self._found.items():
            keys = dict.fromkeys(key for each in all_ for key in each)
            row: dict[str, Any] = {key: summary([each[key] for each in all_ if key in each]) for key in keys}
            if name in self._servers:
                row["command"] = self._servers[name].command
            rows[name] = row | ({"error": self._errors[name]} if name in self._errors else {})
        return rows

    def _one(self, name: str, server: Server, measured: Callable[[Server], Figures]) -> str:
        try:
            found = measured(server)
        except _FAILURES as error:
            if name == OURS:
                raise
            self._errors[name] = _short(error)
            if not isinstance(error, _Partly):
                return self._errors[name]
            found = error.figures
        self._found[name].append(found)
        return ", ".join(f"{key} {value:.4g}" for key, value in found.items())


def ratios(mine: Mapping[str, Any], theirs: Mapping[str, Any], *, higher: Sequence[str] = ()) -> dict[str, float]:
    """How many times better ours is, by figure: the lower is better, but for those that are `higher`."""
    found = {}
    for key, value in mine.items():
        if isinstance(value, dict) and isinstance(theirs.get(key), dict):
            ours, other = value["median"], theirs[key]["median"]
            found[key] = round(ours / other if key in higher else other / ours, 2)
    return found


def _short(error: Exception) -> str:
    """The end of a long message is where its reason is."""
    text = str(error).strip() if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}"
    return text if len(text) <= 1200 else f"{text[:400]} … {text[-800:]}"
