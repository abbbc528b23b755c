"""Lag from positions."""

from __future__ import annotations

from actors.pool.replicas.lag import LagMeter


def test_lag_counts_from_when_the_missing_was_written() -> None:
    """Not from when the replica last moved: an idle primary makes no lag."""
    meter = LagMeter()
    assert meter.lag_s(0, 0.0) is None
    for now, lsn in ((0.0, 10), (1.0, 20), (2.0, 30), (3.0, 30)):
        meter.primary(1, lsn, now)
    assert meter.lag_s(30, 60.0) == 0.0
    assert meter.lag_s(35, 60.0) == 0.0
    assert meter.lag_s(20, 4.0) == 2.0
    assert meter.lag_s(19, 4.0) == 3.0
    assert meter.lag_s(0, 4.0) == 4.0


def test_another_timeline_begins_anew() -> None:
    """Positions of one timeline say nothing of another."""
    meter = LagMeter()
    meter.primary(1, 1000, 0.0)
    meter.primary(2, 500, 5.0)
    assert meter.lag_s(500, 6.0) == 0.0
    assert meter.lag_s(400, 6.0) == 1.0


def test_the_memory_is_bounded() -> None:
    """What is older than it is at least as old as its oldest."""
    meter = LagMeter(samples_max=3)
    for second in range(10):
        meter.primary(1, 10 * second, float(second))
    assert meter.lag_s(0, 10.0) == 3.0
