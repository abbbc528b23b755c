"""A process tells what it measures, loses nothing while nobody listens, and is not disturbed by that."""

from __future__ import annotations

import asyncio

import pytest

from actors.monitor.instruments import Instruments
from actors.monitor.messages import Batch, Reply
from actors.monitor.reporter import Reporter
from actors.monitor.series import series
from actors.monitor.store import Store
from actors.runtime.errors import OutcomeUnknown, Unavailable


class Listener:
    """Hears what is told, and answers as it is told to."""

    def __init__(self) -> None:
        self.store = Store(0.0)
        self.heard: list[Batch] = []
        self.fault: Exception | None = None
        self.is_heard = True
        self.came = asyncio.Event()

    async def report(self, batch: Batch) -> Reply:
        """Hear, and then perhaps fail."""
        if self.is_heard:
            self.heard.append(batch)
            self.store.take(batch, 1.0)
        self.came.set()
        if self.fault is not None:
            raise self.fault
        return Reply(self.is_heard, relay=False)


@pytest.mark.parametrize("is_heard", [True, False])
async def test_what_was_not_acknowledged_is_told_again_and_counts_once(is_heard: bool) -> None:
    """Whether it was heard or not: nothing is lost, and nothing counted twice."""
    listener, instruments = Listener(), Instruments("p", "n")
    reporter = Reporter(instruments, listener)
    listener.is_heard, listener.fault = is_heard, Unavailable("monitor", "gone", 1.0)
    for _ in range(3):
        instruments.count("c_total")
        with pytest.raises(Unavailable):
            await reporter.once()
    listener.is_heard, listener.fault = True, None
    await reporter.once()
    await reporter.once()
    assert listener.store.totals().counters[series("c_total")] == 3
    assert len({batch.sequence for batch in listener.heard}) == 2


async def test_who_says_that_it_was_not_heard_is_told_again() -> None:
    """As a relay does while the monitor is away."""
    listener, instruments = Listener(), Instruments("p", "n")
    reporter = Reporter(instruments, listener)
    instruments.count("c_total")
    listener.is_heard = False
    with pytest.raises(Unavailable):
        await reporter.once()
    listener.is_heard = True
    await reporter.once()
    assert listener.store.totals().counters[series("c_total")] == 1


async def test_a_batch_that_is_told_again_says_how_old_it_is() -> None:
    """So that it counts in the second that it was counted in."""
    now = [0.0]
    listener = Listener()
    reporter = Reporter(Instruments("p", "n"), listener, clock=lambda: now[0])
    listener.fault = OutcomeUnknown("monitor.report", "lost")
    with pytest.raises(OutcomeUnknown):
        await reporter.once()
    now[0], listener.fault = 3.0, None
    await reporter.once()
    assert [batch.age_s for batch in listener.heard] == [0.0, 3.0]


async def test_it_goes_on_reporting_whatever_happens() -> None:
    """An error of any kind ends no reporter; the end of its process tells what is left."""
    listener, instruments = Listener(), Instruments("p", "n")
    reporter = Reporter(instruments, listener, every_s=0.001)
    reporter.start()
    for fault in (Unavailable("monitor", "gone", 1.0), RuntimeError("a defect"), None):
        listener.fault = fault
        listener.came.clear()
        async with asyncio.timeout(10):
            await listener.came.wait()
    instruments.count("c_total")
    await reporter.close()
    await reporter.close()
    assert listener.store.totals().counters[series("c_total")] == 1


async def test_the_end_of_a_process_does_not_wait_for_a_monitor_that_is_away() -> None:
    """What is left is then told to nobody."""
    listener = Listener()
    listener.fault = Unavailable("monitor", "gone", 1.0)
    reporter = Reporter(Instruments("p", "n"), listener)
    reporter.start()
    async with asyncio.timeout(10):
        await listener.came.wait()
        await reporter.close()
