"""Batches of any processes: on whatever way and in whatever order they come, and however often, they say the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.monitor.alerts import AlertBook, AlertRule, AlertState
from actors.monitor.changes import Changes
from actors.monitor.instruments import Instruments
from actors.monitor.measures import Quantile, select
from actors.monitor.merger import Merger
from actors.monitor.messages import Batch, Bundle
from actors.monitor.monitor import Monitor
from actors.monitor.rings import SLOTS, CounterRing, weights
from actors.monitor.rules import Rules
from actors.monitor.series import series
from actors.monitor.store import Store
from actors.runtime.clock import ManualClock
from actors.runtime.histogram import RELATIVE_ERROR

_START = 1000.0
# Sums of such floats are exact, so that they are the same in any order.
_exact = st.integers(1, 2**20).map(lambda number: number / 1024)
_turns = st.lists(st.lists(_exact, max_size=5), min_size=1, max_size=6)


def _batches(processes: list[list[list[float]]]) -> list[list[Batch]]:
    """Return the batches of each process, in their order; each records what one of its turns has."""
    made = []
    for number, turns in enumerate(processes):
        clock = ManualClock()
        clock.advance(_START)
        process, batches = Instruments(f"p{number}", clock=clock, life=f"life-{number}"), []
        for values in turns:
            for value in values:
                process.count("c_total", value)
                process.record("d_seconds", value)
            process.gauge("g_ratio", len(values), process=str(number))
            clock.advance(0.25)
            batches.append(process.take())
        made.append(batches)
    return made


class _Ways:
    """Processes that tell a monitor what they measured, directly or through one of two relays, while whatever can get
    lost on the way does. A process keeps a batch until it was told that it is counted."""

    def __init__(self, batches: list[list[Batch]], draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw
        self._left = [list(each) for each in batches]
        self._told: set[tuple[str, int]] = set()
        self.monitor = Monitor(Rules(), _START)
        self._relays = [self._relay(number) for number in range(2)]
        self._asking: list[list[Batch]] = [[], []]
        self._under_way: list[Bundle] = []

    def tell(self) -> None:
        """Let a process tell its batch, on any way."""
        waiting = [each[0] for each in self._left if each]
        if not waiting:
            return
        batch, way = self._draw(st.sampled_from(waiting)), self._draw(st.sampled_from([None, 0, 1]))
        key = batch.life, batch.sequence
        aged = batch._replace(age_s=0.5 if key in self._told else 0.0)
        self._told.add(key)
        if way is not None:
            self._relays[way].add(aged)
            self._asking[way].append(batch)
        elif self._draw(st.booleans()):
            self.monitor.take(aged, _START + 1)
            self._answer([batch])

    def hand_on(self) -> None:
        """Let a relay take its turn; its call may be late, or without an answer."""
        number = self._draw(st.integers(0, 1))
        asking, self._asking[number] = self._asking[number], []
        bundle = self._relays[number].take(_START + 1)
        self._under_way.append(bundle)
        if self._draw(st.booleans()) and self.monitor.take_bundle(bundle, _START + 1):
            self._answer(asking)

    def arrive(self) -> None:
        """Let a call that was given up, or was heard already, arrive."""
        if self._under_way:
            self.monitor.take_bundle(self._draw(st.sampled_from(self._under_way)), _START + 1)

    def kill(self) -> None:
        """Put another relay in the place of one."""
        number = self._draw(st.integers(0, 1))
        self._relays[number], self._asking[number] = self._relay(number), []

    def finish(self) -> None:
        """Let all that is left be told, and then what is under way arrive."""
        for batches in self._left:
            for batch in batches:
                self.monitor.take(batch._replace(age_s=0.5), _START + 1)
        for bundle in self._under_way:
            self.monitor.take_bundle(bundle, _START + 1)

    def _relay(self, number: int) -> Merger:
        return Merger(f"node-{number}", f"relay-{number}-{self._draw(st.uuids())}", _START)

    def _answer(self, heard: list[Batch]) -> None:
        if self._draw(st.booleans()):
            for batches in self._left:
                if batches and batches[0] in heard:
                    batches.pop(0)


@settings(deadline=None)
@given(
    st.lists(_turns, min_size=1, max_size=4),
    st.lists(st.sampled_from(["tell", "tell", "tell", "hand_on", "arrive", "kill"]), max_size=60),
    st.data(),
)
def test_batches_count_once_on_every_way(
    processes: list[list[list[float]]], steps: list[str], data: st.DataObject
) -> None:
    """Whatever is lost, late, or comes again, and whichever relay is killed: the totals are those of all."""
    batches = _batches(processes)
    direct, ways = Monitor(Rules(), _START), _Ways(batches, data.draw)
    for each in batches:
        for batch in each:
            direct.take(batch, _START + 1)
    for step in steps:
        getattr(ways, step)()
    ways.finish()
    assert ways.monitor.totals() == direct.totals()
    assert direct.totals().counters.get(series("c_total"), 0) == sum(
        value for turns in processes for values in turns for value in values
    )


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50), min_size=1, max_size=4), st.floats(0, 1))
def test_a_quantile_over_processes_is_within_the_bound(processes: list[list[float]], part: float) -> None:
    """Of the exact one of all their numbers, in a window as in the totals."""
    store = Store(_START)
    for batches in _batches([[each] for each in processes]):
        for batch in batches:
            store.take(batch, _START + 1)
    while store.settle(_START + 5):
        pass
    values = sorted(value for each in processes for value in each)
    exact = values[math.floor(part * (len(values) - 1))]
    found = Quantile(select("d_seconds"), part).read(store, 10)[()]
    assert abs(found - exact) <= exact * RELATIVE_ERROR * (1 + 1e-9)
    assert store.totals().histograms[series("d_seconds")].quantile(part) == found


@given(st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 1000)), min_size=1, max_size=40), st.integers(1, 60))
def test_a_ring_says_what_was_counted_in_its_window(gaps: list[tuple[float, int]], span_s: int) -> None:
    """As a list of everything that was counted would, spread over the time between reports."""
    ring, now, spreads = CounterRing(), _START, []
    for gap_s, counted in gaps:
        now += gap_s
        spread = weights(now, gap_s, int(_START))
        ring.add(counted, spread)
        spreads.append((counted, spread))
    last = int(now)
    in_window = sum(
        counted * part
        for counted, spread in spreads
        for second, part in spread
        if last - min(span_s, SLOTS) < second <= last
    )
    assert math.isclose(ring.risen(last, span_s), in_window, rel_tol=1e-9, abs_tol=1e-6)
    assert ring.total == sum(counted for counted, _ in spreads)
    assert all(math.isclose(sum(part for _, part in spread), 1.0) for _, spread in spreads)


@given(st.lists(st.sampled_from([9.0, 4.8, 1.0, None]), max_size=120))
def test_an_alert_is_told_in_turns(values: list[float | None]) -> None:
    """Whatever its figure does: it fires and resolves by turns, when it has lasted and when it was clear as long."""
    rule = AlertRule("Hot", None, 5.0, "hot", for_s=3, keep_s=10)  # type: ignore[arg-type]
    clock, book, told = ManualClock(), AlertBook(Changes()), []
    for at, value in enumerate(values):
        clock.advance(1)
        found = () if value is None else (rule.find((), value),)
        book.see(found, clock.monotonic(), clock.now())
        told += [(at, alert.state) for alert in book.news(())]
    assert all(state is not after for (_, state), (_, after) in pairwise(told))
    for at, state in told:
        if state is AlertState.FIRING:
            assert values[at - 3 : at + 1] == [9.0] * 4
        else:
            assert all(value in (1.0, None) for value in values[at - 10 : at + 1])
