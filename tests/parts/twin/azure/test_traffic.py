"""Requests under way as a mean over time, which is what scales an app."""

from __future__ import annotations

import pytest

from pilotlight.twin.azure.replicas import Traffic


def test_the_mean_counts_each_request_for_as_long_as_it_takes() -> None:
    traffic = Traffic()
    traffic.change(1, 100.0)
    traffic.change(1, 105.0)
    traffic.change(-1, 110.0)
    assert traffic.taken(115.0) == pytest.approx((5 + 2 * 5 + 5) / 15)
    assert traffic.taken(130.0) == pytest.approx(1), "one goes on"


def test_a_request_that_took_no_time_counts_as_one_that_was_there() -> None:
    traffic = Traffic()
    assert traffic.taken(10.0) == 0
    traffic.change(1, 20.0)
    traffic.change(-1, 20.0)
    assert 0 < traffic.taken(35.0) < 0.001
    assert (traffic.taken(50.0), traffic.since) == (0, None)


def test_time_without_requests_before_the_first_does_not_count() -> None:
    traffic = Traffic()
    traffic.change(2, 1_000.0)
    assert traffic.taken(1_015.0) == pytest.approx(2)
