"""Windows move with time, are bounded, and put what was counted into its seconds."""

from __future__ import annotations

import pytest

from actors.monitor.instruments import FOLDED, Instruments
from actors.monitor.measures import Measure, Merge, Quantile, Rate, Ratio, Share, Value, select
from actors.monitor.merger import Merger
from actors.monitor.messages import Batch
from actors.monitor.rings import SLOTS, CounterRing, HistogramRing, weights
from actors.monitor.rules import Rules
from actors.monitor.series import Labels, Series, series
from actors.monitor.shelf import IDLE_S, Shelf
from actors.monitor.store import Store
from actors.runtime.histogram import Histogram
from tests.unit.monitor.makers import Fleet

REQUESTS = "requests_total"
LATENCY = "latency_seconds"


def _batch(sequence: int, counted: float, *, span_s: float = 0.25, age_s: float = 0.0, life: str = "a") -> Batch:
    return Batch("p", "n", life, sequence, span_s, age_s, {series(REQUESTS): counted}, {}, {}, ())


def test_what_was_counted_is_spread_over_the_seconds_that_it_was_counted_in() -> None:
    """The parts add up to one, and are those of the time in each."""
    assert [second for second, _ in weights(10.1, 0.25, 0)] == [9, 10]
    assert [part for _, part in weights(10.1, 0.25, 0)] == pytest.approx([0.6, 0.4])
    assert weights(10.5, 0.25, 0) == ((10, 1.0),)
    assert sum(part for _, part in weights(12.3, 100.0, 5)) == pytest.approx(1.0)
    assert weights(12.3, 100.0, 5)[0][0] == 5
    assert weights(3.0, 1.0, 5) == ((5, 1.0),)


def test_a_counter_s_ring_forgets_what_is_older_than_it_keeps() -> None:
    """Whether it was told of something meanwhile or not."""
    ring = CounterRing()
    for second in range(100, 300):
        ring.add(1, ((second, 1.0),))
    assert ring.risen(299, 60) == 60
    assert ring.risen(298, 10) == 10
    assert ring.risen(299 + 30, 60) == 30
    assert ring.risen(299 + SLOTS, 60) == 0
    ring.add(1, ((1000, 1.0),))
    assert ring.risen(1000, 60) == 1
    ring.add(5, ((1000 - SLOTS, 1.0),))
    assert ring.risen(1000, 60) == 1
    assert ring.total == 206


def test_a_histogram_s_ring_keeps_a_bounded_number_of_seconds() -> None:
    """The total is of all."""
    ring = HistogramRing()
    one = Histogram()
    one.record(1.0)
    for second in range(1000):
        ring.add(one, ((second, 1.0),))
    assert sum(each.count for each in ring.recorded(999, 60)) == 60
    assert sum(each.count for each in ring.recorded(999, 10_000)) == SLOTS
    assert ring.total.count == 1000


def test_a_batch_counts_once() -> None:
    """The next one of the same life counts too, and so does the first of another."""
    store = Store(0.0)
    assert [store.take(batch, 1.0) for batch in (_batch(1, 1), _batch(1, 1), _batch(2, 1), _batch(1, 1, life="b"))] == [
        True, False, True, True,
    ]  # fmt: skip
    assert store.totals().counters[series(REQUESTS)] == 3


def test_uneven_reports_are_no_spikes() -> None:
    """A process that counts evenly has an even rate, though three of its reports come in one second and five in the
    next, and one of ten seconds after that."""
    store = Store(100.0)
    last = 100.0
    for sequence, at in enumerate((100.3, 100.6, 100.99, 101.01, 101.2, 101.4, 101.7, 101.98, 112.0), 1):
        store.take(_batch(sequence, 100 * (at - last), span_s=at - last), at)
        last = at
    rates = []
    while store.settle(113.0):
        rates.append(store.risen(select(REQUESTS), 1, ())[()])
    # It catches up with the last ten seconds.
    assert len(rates) == 11
    assert rates[1:] == [pytest.approx(100)] * 10


def test_a_late_batch_counts_in_its_second() -> None:
    """The seconds after it are not affected."""
    store = Store(100.0)
    store.take(_batch(1, 100, span_s=1.0, age_s=5.0), 110.0)
    while store.settle(111.8):
        pass
    assert store.settled == 110
    assert store.risen(select(REQUESTS), 6, ())[()] == 0
    assert store.risen(select(REQUESTS), 7, ())[()] == pytest.approx(100)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (Rate(select(REQUESTS)), {(): 40.0}),
        (
            Rate(select(REQUESTS, status=("2*", "5*")), by=("status",)),
            {(("status", "200"),): 36, (("status", "500"),): 4},
        ),
        (Ratio(select(REQUESTS, status="5*"), select(REQUESTS)), {(): 0.1}),
        (Ratio(select(REQUESTS, status="5*"), select(REQUESTS), at_least=1e6), {}),
        (Share(select(LATENCY, stage="a"), select(LATENCY), by=("stage",)), {(("stage", "a"),): 0.5}),
        (Value(select("used_ratio"), by=("resource",)), {(("resource", "cpu"),): 0.5, (("resource", "pool"),): 0.25}),
        (Value(select("used_ratio")), {(): 0.5}),
        (Value(select("used_ratio"), merge=Merge.MIN), {(): 0.25}),
        (Value(select("used_ratio"), merge=Merge.MIN, scale=100), {(): 25.0}),
        (Rate(select("no_such_total")), {(): 0.0}),
        (Ratio(select("no_such_total"), select("no_such_total")), {}),
        (Quantile(select("no_such_seconds"), 0.99), {}),
    ],
)
def test_measures_read_the_windows(measure: Measure, expected: dict[Labels, float]) -> None:
    """Of two processes together; what cannot be said is left out."""
    fleet = Fleet(Rules(), processes=2)

    def load(process: object) -> None:
        for status, by in (("200", 4.5), ("500", 0.5)):
            process.count(REQUESTS, by, status=status)  # type: ignore[attr-defined]
        for stage in "ab":
            process.record(LATENCY, 0.01, stage=stage)  # type: ignore[attr-defined]
        process.gauge("used_ratio", 0.5, resource="cpu")  # type: ignore[attr-defined]
        process.gauge("used_ratio", 0.25, resource="pool")  # type: ignore[attr-defined]

    fleet.run(20, load)
    read = measure.read(fleet.monitor._store, 10)
    assert {labels: pytest.approx(value) for labels, value in read.items()} == expected


def test_the_gauges_of_a_silent_process_are_dropped() -> None:
    """And so is the process; what it counted stays."""
    fleet = Fleet(Rules(), processes=2)
    fleet.processes[0].gauge("g_ratio", 0.9)
    fleet.processes[1].gauge("g_ratio", 0.1)
    fleet.processes[0].count(REQUESTS)
    fleet.run(3)
    assert fleet.monitor.totals().gauges[series("g_ratio")] == 0.9
    gone = fleet.processes.pop(0)
    fleet.run(7)
    totals = fleet.monitor.totals()
    assert totals.gauges[series("g_ratio")] == 0.1
    assert totals.gauges[series("easypay_monitor_processes")] == 1
    assert totals.counters[series(REQUESTS)] == 1
    assert gone.process not in [view.process for view in fleet.monitor.overview(0, fleet.clock.now()).processes]


def test_a_gauge_that_is_no_longer_told_is_dropped() -> None:
    """When its process says all that there are, and when another life of it begins; also by way of a relay."""
    fleet, merger = Fleet(Rules()), Merger("node", "relay-life", 1000.0)
    (process,) = fleet.processes
    process.gauge("breaker_open", 1, breaker="redis")
    process.gauge("g_ratio", 1)
    fleet.run(1)
    process.forget_gauge("breaker_open", breaker="redis")
    fleet.run(2)
    assert series("breaker_open", breaker="redis") not in fleet.monitor.totals().gauges
    assert fleet.monitor.totals().gauges[series("g_ratio")] == 1
    again = Instruments(process.process, "node", clock=fleet.clock)
    again.gauge("h_ratio", 1)
    for _ in range(2):
        merger.add(again.take())
    fleet.monitor.take_bundle(merger.take(fleet.clock.monotonic()), fleet.clock.monotonic())
    gauges = fleet.monitor.totals().gauges
    assert series("g_ratio") not in gauges
    assert gauges[series("h_ratio")] == 1


def test_series_are_bounded_and_the_idle_make_room() -> None:
    """New ones count as other until an old one has been idle long enough."""
    shelf = Shelf(CounterRing, series_max=3, label_sets_max=3)
    for number in range(5):
        ring = shelf.ring(series("c_total", id=str(number)), now=float(number))
        assert ring is not None
        ring.add(1, ((number, 1.0),))
    assert {each.label("id"): ring.total for each, ring in shelf.items()} == {"0": 1, "1": 1, "2": 1, "other": 2}
    assert shelf.folded == {"c_total": 2}
    assert shelf.ring(Series("d_total"), now=5.0) is None
    assert shelf.ring(series("c_total", id="9"), now=IDLE_S + 0.5) is not None
    assert {each.label("id") for each, _ in shelf.items()} == {"1", "2", "9", "other"}


def test_what_did_not_fit_is_counted() -> None:
    """Under the name of what was too much."""
    store = Store(0.0)
    counters: dict[Series, float] = {series("c_total", id=str(number)): 1 for number in range(1005)}
    store.take(_batch(1, 1)._replace(counters=counters), 1.0)
    totals = store.totals().counters
    assert totals[series(FOLDED, name="c_total")] == 5
    assert totals[series("c_total", id="other")] == 5
