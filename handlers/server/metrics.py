"""The few counters of `GET /metrics`, in Prometheus' text format."""

import threading
from collections import Counter

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts answers by status, the predictions' number and seconds, and apart from both the pings of the warming plan."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[int] = Counter()
        self._pings: Counter[int] = Counter()
        self._predictions = 0
        self._seconds = 0.0

    def answered(self, status: int) -> None:
        with self._lock:
            self._answers[status] += 1

    def pinged(self, status: int) -> None:
        with self._lock:
            self._pings[status] += 1

    def predicted(self, seconds: float) -> None:
        with self._lock:
            self._predictions += 1
            self._seconds += seconds

    def text(self, *, ready: bool, waiting: int, stages: dict[str, float]) -> str:
        """The exposition; `stages` are the cold start's, in milliseconds."""
        with self._lock:
            answers, predictions, seconds, pings = dict(self._answers), self._predictions, self._seconds, dict(self._pings)
        lines = ["# TYPE pilotlight_answers_total counter"]
        lines += [f'pilotlight_answers_total{{status="{status}"}} {count}' for status, count in sorted(answers.items())]
        lines += ["# TYPE pilotlight_prediction_seconds summary"]
        lines += [f"pilotlight_prediction_seconds_sum {seconds:.6f}", f"pilotlight_prediction_seconds_count {predictions}"]
        lines += ["# TYPE pilotlight_pings_total counter"]
        lines += [f'pilotlight_pings_total{{status="{status}"}} {count}' for status, count in sorted(pings.items())]
        lines += ["# TYPE pilotlight_ready gauge", f"pilotlight_ready {int(ready)}"]
        lines += ["# TYPE pilotlight_waiting gauge", f"pilotlight_waiting {waiting}"]
        lines += ["# TYPE pilotlight_cold_start_seconds gauge"]
        lines += [f'pilotlight_cold_start_seconds{{stage="{name}"}} {value / 1000:.4f}' for name, value in stages.items()]
        return "\n".join(lines) + "\n"
