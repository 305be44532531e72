"""The few counters of `GET /metrics`, in Prometheus' text format."""

import bisect
import functools
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Why a request was not computed: no place in the queue, no time to wait its turn, its time over there, nobody left who waits, the server
# leaves.
REASONS = ("full", "wait", "deadline", "gone", "leaving")
# Of each kind, before they are put into the figures.
_MOST_FRESH = 256
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_WAITS_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Histogram:
    """How many values lay at or below each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._place = functools.partial(bisect.bisect_left, bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, values: Collection[float]) -> None:
        for place, count in Counter(map(self._place, values)).items():
            self._counts[place] += count
        self._sum += sum(values)

    def lines(self, name: str) -> Iterable[str]:
        bounds = [f"{bound:g}" for bound in self._bounds] + ["+Inf"]
        total = list(itertools.accumulate(self._counts))
        yield f"# TYPE {name} histogram"
        yield from (f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in zip(bounds, total, strict=True))
        yield from (f"{name}_sum {self._sum!r}", f"{name}_count {total[-1]}")


class Metrics:
    """Counts answers by status, the predictions' number and seconds, what waited and was refused, and apart from these the pings of the
    warming plan."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[int] = Counter()
        self._pings: Counter[int] = Counter()
        self._shed: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._batches, self._waits, self._requests = Histogram(_BATCHES), Histogram(_WAITS_S), Histogram(_WAITS_S)
        self._predictions = 0
        self._seconds = 0.0
        # What is not in the figures yet, by what puts it there: to append one takes no lock, and a tenth of the time.
        self._fresh: dict[Callable[..., None], list[Any]] = {self._add_answers: [], self._add_predictions: [], self._add_batches: []}
        self._answers_fresh, self._predictions_fresh, self._batches_fresh = self._fresh.values()

    def answered(self, some: Iterable[tuple[int, float | None]]) -> None:
        """The status of each answer, and how many seconds it took, None where nobody waited for it."""
        self._answers_fresh += some
        if len(self._answers_fresh) >= _MOST_FRESH:
            self._settle()

    def pinged(self, status: int) -> None:
        with self._lock:
            self._pings[status] += 1

    def predicted(self, seconds: float) -> None:
        self._predictions_fresh.append(seconds)
        if len(self._predictions_fresh) >= _MOST_FRESH:
            self._settle()

    def batch(self, waited_s: Sequence[float]) -> None:
        """Requests are computed together, after each has waited so long."""
        if waited_s:
            self._batches_fresh.append(waited_s)
            if len(self._batches_fresh) >= _MOST_FRESH:
                self._settle()

    def _settle(self) -> None:
        """Put into the figures what is new; others may append meanwhile."""
        with self._lock:
            for add, fresh in self._fresh.items():
                some = fresh[:]
                # What has come behind them stays.
                del fresh[: len(some)]
                add(some)

    def _add_answers(self, some: Sequence[tuple[int, float | None]]) -> None:
        self._answers.update(status for status, _ in some)
        self._requests.add([seconds for _, seconds in some if seconds is not None])

    def _add_predictions(self, some: Sequence[float]) -> None:
        self._predictions += len(some)
        self._seconds += sum(some)

    def _add_batches(self, some: Sequence[Sequence[float]]) -> None:
        self._batches.add(list(map(len, some)))
        self._waits.add([seconds for waited_s in some for seconds in waited_s])

    def shed(self, reason: str) -> None:
        """A request will not be computed: one of REASONS."""
        with self._lock:
            self._shed[reason] += 1

    def text(
        self,
        *,
        ready: bool,
        waiting: int,
        stages: Mapping[str, float],
        tokens: Mapping[str, int],
        spans: Mapping[str, int],
        model: Mapping[str, str] | None = None,
    ) -> str:
        """The exposition: `stages` of the cold start in milliseconds, `tokens` that were computed by kind, `spans` by outcome, and what the
        `model` is, once it is there."""
        self._settle()
        with self._lock:
            lines = [
                *_counter("pilotlight_answers_total", "status", sorted(self._answers.items())),
                "# TYPE pilotlight_prediction_seconds summary",
                f"pilotlight_prediction_seconds_sum {self._seconds:.6f}",
                f"pilotlight_prediction_seconds_count {self._predictions}",
                *_counter("pilotlight_pings_total", "status", sorted(self._pings.items())),
                *_counter("pilotlight_shed_total", "reason", self._shed.items()),
                *self._batches.lines("pilotlight_batch_requests"),
                *self._waits.lines("pilotlight_queue_seconds"),
                *self._requests.lines("pilotlight_request_seconds"),
            ]
        lines += _counter("pilotlight_spans_total", "outcome", spans.items())
        lines += _counter("pilotlight_tokens_total", "kind", tokens.items())
        lines += ["# TYPE pilotlight_ready gauge", f"pilotlight_ready {int(ready)}"]
        lines += ["# TYPE pilotlight_waiting gauge", f"pilotlight_waiting {waiting}"]
        lines += ["# TYPE pilotlight_cold_start_seconds gauge"]
        lines += [f'pilotlight_cold_start_seconds{{stage="{name}"}} {value / 1000:.4f}' for name, value in stages.items()]
        if model:
            labels = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in model.items())
            lines += ["# TYPE pilotlight_model_info gauge", f"pilotlight_model_info{{{labels}}} 1"]
        return "\n".join(lines) + "\n"


def _counter(name: str, label: str, counts: Iterable[tuple[object, int]]) -> list[str]:
    return [f"# TYPE {name} counter", *(f'{name}{{{label}="{value}"}} {count}' for value, count in counts)]
