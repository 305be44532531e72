"""The few counters of `GET /metrics`, in Prometheus' text format."""

import bisect
import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Why a request was not computed: no place in the queue, no time to wait its turn, its time over there, nobody left who waits, the server
# leaves.
REASONS = ("full", "wait", "deadline", "gone", "leaving")
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_WAITS_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Histogram:
    """How many values lay at or below each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterable[str]:
        bounds = [f"{bound:g}" for bound in self._bounds] + ["+Inf"]
        total = list(itertools.accumulate(self._counts))
        yield f"# TYPE {name} histogram"
        yield from (f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in zip(bounds, total, strict=True))
        yield from (f"{name}_sum {self._sum:.6g}", f"{name}_count {total[-1]}")


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

    def answered(self, status: int, seconds: float | None = None) -> None:
        """`seconds` are how long it took, None where nobody waited for it."""
        with self._lock:
            self._answers[status] += 1
            if seconds is not None:
                self._requests.add(seconds)

    def pinged(self, status: int) -> None:
        with self._lock:
            self._pings[status] += 1

    def predicted(self, seconds: float) -> None:
        with self._lock:
            self._predictions += 1
            self._seconds += seconds

    def batch(self, waited_s: Sequence[float]) -> None:
        """Requests are computed together, after each has waited so long."""
        if not waited_s:
            return
        with self._lock:
            self._batches.add(len(waited_s))
            for seconds in waited_s:
                self._waits.add(seconds)

    def shed(self, reason: str) -> None:
        """A request will not be computed: one of REASONS."""
        with self._lock:
            self._shed[reason] += 1

    def text(self, *, ready: bool, waiting: int, stages: Mapping[str, float], tokens: Mapping[str, int], spans: Mapping[str, int]) -> str:
        """The exposition: `stages` of the cold start in milliseconds, `tokens` that were computed by kind, `spans` by outcome."""
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
        return "\n".join(lines) + "\n"


def _counter(name: str, label: str, counts: Iterable[tuple[object, int]]) -> list[str]:
    return [f"# TYPE {name} counter", *(f'{name}{{{label}="{value}"}} {count}' for value, count in counts)]
