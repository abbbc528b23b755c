"""What a node's relay adds up says the same as its processes would by themselves."""

from __future__ import annotations

from actors.monitor.instruments import FOLDED, Instruments
from actors.monitor.merger import LATE_MAX, SERIES_MAX, Merger
from actors.monitor.messages import Batch
from actors.monitor.monitor import Monitor
from actors.monitor.rules import Rules
from actors.monitor.series import Series, series
from actors.monitor.store import REPORTS
from actors.runtime.clock import ManualClock


def _batches() -> list[Batch]:
    clock = ManualClock()
    batches = []
    for number in range(5):
        process = Instruments(f"p{number}", "n", clock=clock)
        clock.advance(0.25)
        process.count("c_total", number, route="/a")
        process.record("d_seconds", 0.1 * (number + 1))
        process.gauge("g_ratio", 0.1 * number, process=str(number))
        process.gauge("g_all_ratio", 0.1 * number)
        batches.append(process.take()._replace(span_s=0.25))
    return batches


def test_a_bundle_says_what_its_batches_say() -> None:
    """Each counts once though it comes twice, and so does the bundle."""
    direct, bundled = Monitor(Rules(), 0.0), Monitor(Rules(), 0.0)
    merger = Merger("node", "life", 1.0)
    for batch in _batches():
        direct.take(batch, 1.25)
        assert merger.add(batch)
        assert merger.add(batch)
    bundle = merger.take(1.25)
    assert bundled.take_bundle(bundle, 1.25)
    assert bundled.take_bundle(bundle, 1.25)
    assert bundled.totals() == direct.totals()
    assert len(bundle.parts) == 5
    empty = merger.take(1.5)
    assert (empty.parts, empty.counters, empty.processes) == ((), {}, ())


def test_a_bundle_with_a_batch_that_was_counted_is_refused() -> None:
    """Its processes tell again what they have told, and each counts once, whichever relay they tell."""
    monitor = Monitor(Rules(), 0.0)
    first, *others = batches = _batches()
    merger, another = Merger("node", "life", 1.0), Merger("node", "another", 1.0)
    for batch in batches:
        merger.add(batch)
    monitor.take(first, 1.25)
    assert not monitor.take_bundle(merger.take(1.25), 1.25)
    assert monitor.totals().counters[series(REPORTS)] == 1
    for batch in batches:
        another.add(batch._replace(age_s=0.25))
    again = another.take(1.5)
    assert len(again.late) == 5
    assert monitor.take_bundle(again, 1.5)
    totals = monitor.totals().counters
    assert totals[series(REPORTS)] == 5
    assert totals[series("c_total", route="/a")] == sum(
        batch.counters.get(series("c_total", route="/a"), 0) for batch in others
    )


def test_a_batch_that_covers_long_keeps_its_seconds() -> None:
    """It is handed on as it is, and counts once."""
    late = _batches()[1]._replace(span_s=10.0)
    merger, monitor = Merger("node", "life", 20.0), Monitor(Rules(), 0.0)
    merger.add(late)
    bundle = merger.take(20.25)
    assert (bundle.late, bundle.parts) == ((late,), ())
    monitor.take_bundle(bundle, 20.25)
    monitor.take(late, 20.25)
    assert monitor.totals().counters[series("c_total", route="/a")] == 1


def test_a_relay_has_room_for_so_many_late_batches() -> None:
    """Those past the bound are refused, and the processes keep them."""
    (late, *_) = _batches()
    merger = Merger("node", "life", 20.0)
    taken = [merger.add(late._replace(age_s=0.5, sequence=sequence)) for sequence in range(1, LATE_MAX + 4)]
    assert taken == [True] * LATE_MAX + [False] * 3
    assert len(merger.take(20.25).late) == LATE_MAX
    assert not merger


def test_what_a_relay_has_no_room_for_is_counted() -> None:
    """Of new series, those past a bound."""
    merger = Merger("node", "life", 20.0)
    (batch, *_) = _batches()
    many: dict[Series, float] = {series("c_total", id=str(number)): 1 for number in range(SERIES_MAX + 3)}
    assert merger.add(batch._replace(counters=many))
    assert merger.take(20.25).counters[series(FOLDED, name="relay")] == 3
    assert not merger.take(20.5).counters
