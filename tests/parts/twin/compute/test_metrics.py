"""What the twin counts: statistics of spans of minutes, and that a restart forgets none of it."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.metrics import FLUSH_S, KEEP_MINUTES, Metrics, series
from tests.support.size import examples

NOON = 1_800_000_000.0
DURATION = series("AWS/Lambda", "Duration", {"FunctionName": "f"})


class Counted(Metrics):
    """Metrics whose time a test sets."""

    def __init__(self, path: Path | None = None) -> None:
        self.time = NOON
        super().__init__(lambda: self.time, path)

    def durations(self, *values: float, at: float | None = None) -> None:
        for value in values:
            self.put("AWS/Lambda", {"Duration": value}, {"FunctionName": "f"}, at=at)

    def of(self, statistic: str, start: float = NOON, end: float = NOON + 60) -> float | None:
        return self.statistic(DURATION, start, end, statistic)


@pytest.fixture
def metrics() -> Iterator[Counted]:
    counted = Counted()
    yield counted
    counted.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.sqlite3"


def test_the_plain_statistics_of_a_minute(metrics: Counted) -> None:
    metrics.durations(5, 1, 3, 3)
    found = {name: metrics.of(name) for name in ("SampleCount", "Sum", "Average", "Minimum", "Maximum")}
    assert found == {"SampleCount": 4, "Sum": 12, "Average": 3, "Minimum": 1, "Maximum": 5}


@given(st.lists(st.integers(0, 50), min_size=2, max_size=examples(40, 200)), st.integers(1, 99))
def test_a_percentile_lies_where_the_standard_library_says(values: list[int], percent: int) -> None:
    metrics = Counted()
    metrics.durations(*values)
    assert metrics.of(f"p{percent}") == pytest.approx(statistics.quantiles(values, n=100, method="inclusive")[percent - 1])
    assert (metrics.of("p0"), metrics.of("p100")) == (min(values), max(values))
    metrics.close()


def test_a_span_has_the_minutes_from_its_start_to_before_its_end(metrics: Counted) -> None:
    for minute in range(-1, 3):
        metrics.durations(10.0**minute, at=NOON + 60 * minute)
    assert metrics.of("Sum", NOON, NOON + 120) == 11
    assert metrics.of("Sum", NOON + 600, NOON + 660) is None
    assert metrics.statistic(series("AWS/Lambda", "Duration", {"FunctionName": "g"}), NOON, NOON + 60, "Sum") is None


def test_every_set_of_dimensions_counts_and_is_known(metrics: Counted) -> None:
    metrics.put("AWS/Lambda", {"Errors": 1, "Invocations": 2}, {"FunctionName": "f"}, {})
    errors = series("AWS/Lambda", "Errors", {})
    assert metrics.statistic(errors, NOON, NOON + 60, "Sum") == 1
    assert set(metrics.known()) == {
        series("AWS/Lambda", name, of) for name in ("Errors", "Invocations") for of in ({"FunctionName": "f"}, {})
    }


def test_what_is_no_number_counts_for_nothing(metrics: Counted) -> None:
    metrics.durations(float("nan"), float("inf"), 2)
    assert (metrics.of("Sum"), metrics.of("SampleCount")) == (2, 1)


def test_an_unknown_statistic_is_refused_with_those_that_are_known(metrics: Counted) -> None:
    metrics.durations(1)
    with pytest.raises(ValueError, match=r"'median'.*SampleCount, Average"):
        metrics.of("median")


def test_points_are_forgotten_after_their_fifteen_days(metrics: Counted) -> None:
    metrics.durations(1)
    metrics.time += 60 * KEEP_MINUTES
    metrics.durations(2)
    assert metrics.of("Sum") == 1
    metrics.time += 60
    metrics.durations(3)
    assert (metrics.of("Sum"), metrics.of("Sum", NOON, NOON + 60 * (KEEP_MINUTES + 2))) == (None, 5)


def test_a_restart_goes_on_counting_where_the_last_one_ended(path: Path) -> None:
    first = Counted(path)
    first.durations(1, 4)
    first.put("Own", {"New": 1}, {})
    first.close()
    first.durations(100)
    second = Counted(path)
    second.durations(4)
    second.put("Own", {"Newer": 1}, {})
    assert (second.of("Sum"), second.of("p50")) == (9, 4)
    assert second.known() == [DURATION, series("Own", "New", {}), series("Own", "Newer", {})]
    second.close()


def test_what_was_looked_at_survives_a_kill(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.parts.twin.compute.test_metrics import Counted\n"
        "metrics = Counted(Path(sys.argv[1])); metrics.durations(7); assert metrics.of('Sum') == 7; metrics.durations(9)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    again = Counted(path)
    assert again.of("Sum") == 7
    again.close()


def test_values_that_nobody_looks_at_are_written_within_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Counted(path)
    first.durations(1)
    monkeypatch.setattr("time.monotonic", lambda: first._flushed + FLUSH_S)
    first.durations(2)
    second = Counted(path)
    assert second.of("Sum") == 3
    first.close()
    second.close()
