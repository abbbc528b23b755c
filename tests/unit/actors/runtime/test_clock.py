"""Clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from actors.runtime.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_tells_aware_time_in_utc() -> None:
    """What is stored never depends on the machine's zone."""
    clock: Clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_a_manual_clock_moves_only_when_told() -> None:
    """Both readings move by the same amount."""
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
    assert (clock.now(), clock.monotonic()) == (datetime(2030, 1, 1, tzinfo=UTC), 0.0)
    clock.advance(90)
    assert (clock.now(), clock.monotonic()) == (datetime(2030, 1, 1, 0, 1, 30, tzinfo=UTC), 90.0)


def test_a_manual_clock_does_not_run_backwards() -> None:
    """A test that tries is wrong."""
    with pytest.raises(AssertionError, match="backwards"):
        ManualClock().advance(-1)
