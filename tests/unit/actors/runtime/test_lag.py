"""The lag of the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from actors.runtime.lag import STEADY_SAMPLE_MAX_S, LagWindow, LoopLag, LoopLagProbe


def test_an_empty_window_reads_zero() -> None:
    """No sample is no lag."""
    assert LagWindow().read(5.0) == LoopLag(0.0, 0.0)


def test_the_maximum_is_that_of_the_window() -> None:
    """A peak counts until it has left the window, and the next highest takes its place."""
    window = LagWindow(window_s=10)
    for now, lag in ((0, 0.5), (1, 0.1), (2, 0.3), (3, 0.2)):
        window.add(lag, now)
    assert [window.read(now).max_s for now in (3, 9.9, 10, 11.9, 12, 13)] == [0.5, 0.5, 0.3, 0.3, 0.2, 0.0]


def test_the_average_follows_with_its_weight() -> None:
    """The newest sample counts for its weight, and one taken early for none."""
    window = LagWindow(weight=0.5)
    window.add(0.4, 1)
    window.add(-1.0, 2)
    assert window.read(2).average_s == 0.1


def test_a_pause_counts_for_little_in_the_steady_lag_and_a_queue_for_all_that_it_is() -> None:
    """However long the pause was; a loop that is always late is that in both."""
    paused, queued = LagWindow(weight=0.2), LagWindow(weight=0.2)
    for now in range(100):
        paused.add(5.0 if now == 99 else 0.0, now)
        queued.add(0.002, now)
    assert paused.read(99).average_s == pytest.approx(1.0)
    assert paused.read(99).steady_s == pytest.approx(0.2 * STEADY_SAMPLE_MAX_S)
    assert queued.read(99).steady_s == pytest.approx(queued.read(99).average_s) == pytest.approx(0.002)


async def test_a_blocked_loop_shows() -> None:
    """What blocks the loop is measured by how late the next sample is."""
    probe = LoopLagProbe(interval_s=0.001)
    probe.start()
    probe.start()
    time.sleep(0.05)  # noqa: ASYNC251  # blocking the loop is what is tested
    # Its timer is due by now, and so runs before this one.
    await asyncio.sleep(0.001)
    probe.stop()
    probe.stop()
    assert probe.read().max_s >= 0.04


async def test_a_probe_that_was_not_started_reads_zero() -> None:
    """It has seen nothing."""
    assert LoopLagProbe().read() == LoopLag(0.0, 0.0)
