"""What a process measures, is taken once, and stays bounded."""

from __future__ import annotations

import pickle

import pytest

from actors.monitor.instruments import COMPLETE_EVERY, FOLDED, Instruments, Readings
from actors.monitor.series import series
from actors.runtime.clock import ManualClock
from actors.runtime.histogram import Histogram


def _instruments(**bounds: int) -> tuple[Instruments, ManualClock]:
    clock = ManualClock()
    return Instruments("p", "n", clock=clock, life="a", **bounds), clock


def test_what_was_taken_is_not_taken_again() -> None:
    """Counters and distributions begin anew with each batch, through the same handles."""
    instruments, clock = _instruments()
    counter = instruments.counter("c_total", route="/a")
    record = instruments.distribution("d_seconds").record
    for times in (3, 2):
        counter.add(times)
        record(0.5)
        clock.advance(0.25)
        batch = instruments.take()
        assert batch.counters == {series("c_total", route="/a"): times}
        assert [each.count for each in batch.histograms.values()] == [1]
        assert batch.span_s == 0.25
    assert not instruments.take().counters
    assert not instruments.take().histograms


def test_labels_in_any_order_are_one_series() -> None:
    """And a label may bear any name, that of an argument too."""
    instruments, _ = _instruments()
    instruments.count("c_total", name="x", by=1, a="1")
    instruments.count("c_total", a="1", name="x")
    assert instruments.take().counters == {series("c_total", a="1", name="x"): 2}


def test_gauges_are_told_when_they_change_and_now_and_then() -> None:
    """A monitor that starts anew hears all of them within eight batches."""
    instruments, _ = _instruments()
    instruments.gauge("g_ratio", 0.5)
    told = [bool(instruments.take().gauges) for _ in range(COMPLETE_EVERY + 1)]
    assert told == [True, *[False] * (COMPLETE_EVERY - 1), True]
    instruments.gauge("g_ratio", 0.6)
    assert instruments.take().gauges == {series("g_ratio"): 0.6}
    instruments.forget_gauge("g_ratio")
    assert not any(instruments.take().gauges for _ in range(COMPLETE_EVERY))


def test_label_sets_are_bounded() -> None:
    """What comes past the bound counts as other, nothing of it is lost, and how often is counted."""
    instruments, _ = _instruments(label_sets_max=3)
    for number in range(10):
        instruments.count("c_total", id=str(number))
    instruments.count("c_total", id="0")
    counters = instruments.take().counters
    assert counters[series("c_total", id="other")] == 7
    assert sum(count for each, count in counters.items() if each.name == "c_total") == 11
    assert counters[series(FOLDED, name="c_total")] == 7


def test_names_are_bounded() -> None:
    """A name that is one too many is not counted, and that is."""
    instruments, _ = _instruments(names_max=2)
    for number in range(5):
        instruments.count(f"c{number}_total")
        instruments.record("d_seconds", 1)
    batch = instruments.take()
    assert set(batch.counters) == {series("c0_total"), series(FOLDED, name="other")}


def test_a_source_tells_totals_and_is_counted_by_their_rise() -> None:
    """One that fell has begun anew; a histogram counts by what it has more."""
    instruments, _ = _instruments()
    total, recorded = [5.0], Histogram()

    def read(readings: Readings) -> None:
        readings.counter("c_total", total[0], pool="a")
        readings.gauge("g_ratio", 0.25)
        readings.histogram("d_seconds", recorded)

    instruments.source(read)
    recorded.record(1.0)
    first = instruments.take()
    assert first.counters == {series("c_total", pool="a"): 5}
    assert first.histograms[series("d_seconds")].count == 1
    total[0] = 7.0
    recorded.record(2.0, 3)
    second = instruments.take()
    assert second.counters == {series("c_total", pool="a"): 2}
    assert second.histograms[series("d_seconds")].count == 3
    total[0] = 1.0
    assert instruments.take().counters == {series("c_total", pool="a"): 1}


def test_a_source_that_fails_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, asked again, and the others are heard."""
    instruments, _ = _instruments()

    def failing(_: Readings) -> None:
        raise OSError("away")

    instruments.source(failing)
    instruments.source(lambda readings: readings.counter("c_total", 1))
    assert instruments.take().counters == {series("c_total"): 1}
    instruments.take()
    assert len(caplog.records) == 1


def test_a_batch_survives_pickling() -> None:
    """As it was; an empty one is small."""
    instruments, _ = _instruments()
    empty = pickle.dumps(instruments.take())
    assert len(empty) < 250
    instruments.count("c_total", a="1")
    instruments.record("d_seconds", 1.5)
    instruments.gauge("g_ratio", 1)
    instruments.changed("deploy", "version 2")
    batch = instruments.take()
    assert pickle.loads(pickle.dumps(batch)) == batch
