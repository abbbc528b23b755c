"""What a store keeps, and that it stays within its bound."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from itertools import accumulate
from statistics import mean

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.cache.store.bounded import ENTRY_OVERHEAD_BYTES, BoundedStore

BOUND = 100_000
PAYLOAD = 200


class Watched:
    """A store together with what it has let go of."""

    def __init__(self, bound_bytes: int = BOUND) -> None:
        self.left: list[tuple[str, str]] = []
        self.store: BoundedStore[str] = BoundedStore(
            bound_bytes, evicted=lambda key, value: self.left.append((key, value))
        )

    def fill(self, count: int = 400, *, uses: int = 2) -> list[str]:
        """Use and put keys, more than there is room for; return those that are there in the end."""
        keys = [f"filler-{number}" for number in range(count)]
        for key in keys:
            for _ in range(uses):
                self.store.get(key)
            self.store.put(key, key, PAYLOAD)
        return [key for key in keys if key in self.store]


def bound_of(entries: int) -> int:
    """Return the bound in which so many entries fit, with their sketch."""
    return entries * (PAYLOAD + sys.getsizeof("key-00000") + ENTRY_OVERHEAD_BYTES) * 32 // 31


def hit_ratio(store: BoundedStore[bool], uses: Sequence[str], warm_up: int) -> float:
    """Read through the store, and return the part of the reads after the warm-up that hit."""
    hits = 0
    for number, key in enumerate(uses):
        if store.get(key):
            hits += number >= warm_up
        else:
            store.put(key, True, PAYLOAD)
    return hits / (len(uses) - warm_up)


def test_a_value_is_found_under_its_key() -> None:
    """And no other is."""
    store = Watched().store
    assert store.put("a", "x", 1)
    assert store.get("a") == store.peek("a") == "x"
    assert store.get("b") is store.peek("b") is None
    assert "a" in store
    assert "b" not in store
    assert len(store) == 1


def test_a_key_takes_a_new_value() -> None:
    """Nothing is reported of the former one: whoever put the new one knows."""
    watched = Watched()
    watched.store.put("a", "x", 500)
    before = watched.store.bytes_used
    assert watched.store.put("a", "smaller", 100)
    assert watched.store.get("a") == "smaller"
    assert watched.store.bytes_used == before - 400
    assert watched.store.put("a", "larger", 700)
    assert watched.store.get("a") == "larger"
    assert watched.store.bytes_used == before + 200
    assert (len(watched.store), watched.left) == (1, [])


def test_what_is_removed_is_gone() -> None:
    """Its bytes are free and nothing is reported."""
    watched = Watched()
    empty = watched.store.bytes_used
    watched.store.put("a", "x", 1)
    assert watched.store.remove("a") == "x"
    assert watched.store.remove("a") is watched.store.get("a") is None
    assert watched.store.bytes_used == empty
    assert watched.left == []


def test_the_sketch_is_part_of_the_bound() -> None:
    """An empty store uses memory too."""
    assert BOUND // 40 < Watched().store.bytes_used < BOUND // 30


def test_the_key_and_the_objects_count() -> None:
    """A hundred values of no bytes are not free, and keys of a kilobyte cost a kilobyte."""
    store = Watched().store
    empty = store.bytes_used
    store.put("a", "", 0)
    short = store.bytes_used - empty
    store.put("b" * 1001, "", 0)
    assert short > 250
    assert store.bytes_used - empty - short == short + 1000


def test_each_value_that_leaves_is_reported_once() -> None:
    """What is there and what was reported are together all that was put."""
    watched = Watched()
    there = watched.fill()
    assert sorted(there + [key for key, _ in watched.left]) == sorted(f"filler-{number}" for number in range(400))
    assert watched.store.evictions == len(watched.left) > 100


def test_what_is_reserved_is_not_the_stores() -> None:
    """It makes room at once, and has it back when less is reserved."""
    watched = Watched()
    there = watched.fill()
    watched.store.reserve(BOUND // 2)
    fewer = watched.fill()
    assert len(fewer) < 0.6 * len(there)
    assert watched.store.bytes_used > 0.9 * BOUND
    watched.store.reserve(0)
    assert watched.store.bytes_used < 0.6 * BOUND
    assert len(watched.fill()) == len(there)


def test_a_quarter_of_the_bound_stays_the_stores() -> None:
    """However much is reserved."""
    watched = Watched()
    there = watched.fill()
    watched.store.reserve(10 * BOUND)
    assert 0.2 * len(there) < len(watched.fill()) < 0.3 * len(there)
    assert watched.store.bytes_used <= BOUND


def test_what_is_larger_than_the_bound_is_refused() -> None:
    """Nothing leaves for it, and it is not reported itself."""
    watched = Watched()
    watched.fill(10)
    assert not watched.store.put("large", "x", BOUND)
    assert (len(watched.store), watched.left) == (10, [])


def test_a_refused_value_leaves_no_former_one() -> None:
    """The former value is out of date, so it goes, and is reported."""
    watched = Watched()
    watched.store.put("a", "small", 10)
    assert not watched.store.put("a", "large", BOUND)
    assert watched.store.get("a") is None
    assert watched.left == [("a", "small")]


def test_keys_used_once_displace_nothing() -> None:
    """A scan passes through the window."""
    watched = Watched()
    there = set(watched.fill(uses=2))
    for number in range(1000):
        watched.store.get(f"scanned-{number}")
        watched.store.put(f"scanned-{number}", "x", PAYLOAD)
    lost = [key for key in there if key not in watched.store]
    # Those that were still in the window, and a few for which some scanned key was mistaken for one used twice.
    assert len(lost) < 0.2 * len(there)


def test_a_key_used_more_displaces_one_used_less() -> None:
    """It outlives the window in a full store."""
    watched = Watched()
    watched.fill(uses=2)
    for _ in range(5):
        watched.store.get("often")
    watched.store.put("often", "x", PAYLOAD)
    watched.store.put("never", "x", PAYLOAD)
    for number in range(50):
        watched.store.put(f"passing-{number}", "x", PAYLOAD)
    assert "often" in watched.store
    assert "never" not in watched.store


def test_newcomers_do_not_displace_each_other() -> None:
    """Where all entries are in use, those whose use is longest ago go before a newcomer that was just admitted."""
    watched = Watched()
    for key in watched.fill(uses=2):
        watched.store.get(key)
    newcomers = [f"newcomer-{number}" for number in range(10)]
    for key in newcomers:
        for _ in range(8):
            watched.store.get(key)
        watched.store.put(key, key, PAYLOAD)
    for number in range(50):
        watched.store.put(f"passing-{number}", "x", PAYLOAD)
    assert sum(key in watched.store for key in newcomers) >= 9


def test_a_large_entry_has_to_be_worth_all_that_it_displaces() -> None:
    """Used more than each of them and less than all together, it is refused; nothing leaves and nothing is reported."""
    watched = Watched()
    there = watched.fill(uses=3)
    watched.left.clear()
    for _ in range(10):
        watched.store.get("large")
    assert not watched.store.put("large", "x", 10_000)
    assert watched.left == []
    assert all(key in watched.store for key in there)


def test_a_large_entry_that_is_worth_it_is_admitted() -> None:
    """It displaces as many as it needs, and those are reported."""
    watched = Watched()
    watched.fill(uses=1)
    watched.left.clear()
    for _ in range(15):
        watched.store.get("large")
    assert watched.store.put("large", "x", 5_000)
    assert watched.store.get("large") == "x"
    assert 5 <= len(watched.left) <= 11


def test_a_use_is_remembered_beyond_a_removal() -> None:
    """A key that was invalidated is admitted again when it comes back."""
    watched = Watched()
    watched.store.put("often", "x", PAYLOAD)
    for _ in range(10):
        watched.store.get("often")
    watched.store.remove("often")
    watched.fill(uses=2)
    watched.store.put("often", "y", PAYLOAD)
    watched.fill(uses=2)
    assert watched.store.get("often") == "y"


def test_what_was_hot_long_ago_gives_way() -> None:
    """Counts age, so yesterday's keys do not block today's."""
    watched = Watched()
    old = watched.fill(150, uses=0)
    for _ in range(20):
        for key in old:
            watched.store.get(key)
    for _ in range(200):
        for number in range(100):
            key = f"new-{number}"
            if watched.store.get(key) is None:
                watched.store.put(key, key, PAYLOAD)
    assert sum(f"new-{number}" in watched.store for number in range(100)) > 95


def test_a_peek_counts_as_nothing() -> None:
    """However often one looks, the key is no hotter."""
    watched = Watched()
    for key in ("looked-at", "used"):
        watched.store.put(key, "x", PAYLOAD)
    for _ in range(10):
        watched.store.peek("looked-at")
    watched.store.get("used")
    assert watched.store.hottest(1) == ["used"]


def test_the_hottest_come_first() -> None:
    """As many as there are, at most."""
    store = Watched().store
    for uses, key in enumerate(["cold", "warm", "hot"]):
        store.put(key, "x", PAYLOAD)
        for _ in range(uses):
            store.get(key)
    assert store.hottest(2) == ["hot", "warm"]
    assert store.hottest(10) == ["hot", "warm", "cold"]
    assert store.hottest(0) == []


@pytest.mark.parametrize("part", [0.01, 0.1])
def test_it_hits_nearly_as_often_as_the_best_static_choice(part: float) -> None:
    """On Zipf 1.0, within four points."""
    count = 20_000
    weights = list(accumulate(1 / rank for rank in range(1, count + 1)))
    uses = random.Random(1).choices([f"key-{rank:05d}" for rank in range(count)], cum_weights=weights, k=150_000)
    best = weights[int(part * count) - 1] / weights[-1]
    assert hit_ratio(BoundedStore(bound_of(int(part * count))), uses, 75_000) > best - 0.04


def test_a_scan_costs_little() -> None:
    """Zipf that takes turns with keys that never return hits as often as without them, but for five points."""
    weights = list(accumulate(1 / rank for rank in range(1, 10_001)))
    uses = random.Random(2).choices([f"key-{rank:05d}" for rank in range(10_000)], cum_weights=weights, k=60_000)
    alone = hit_ratio(BoundedStore(bound_of(1000)), uses, 30_000)
    store: BoundedStore[bool] = BoundedStore(bound_of(1000))
    hit_ratios = []
    for start in range(0, len(uses), 2000):
        hit_ratios.append(hit_ratio(store, uses[start : start + 2000], 0))
        hit_ratio(store, [f"one-{number:05d}" for number in range(start, start + 2000)], 0)
    assert mean(hit_ratios[15:]) > alone - 0.05


@pytest.mark.parametrize(("fit", "hits"), [(500, 0.05), (200, 0.005)])
def test_a_loop_through_more_than_fits_hits_some_of_it(fit: int, hits: float) -> None:
    """Half of what could be hit where a tenth fits, and something where a 25th does; LRU never hits at all."""
    uses = [f"key-{number % 5000:05d}" for number in range(50_000)]
    assert hit_ratio(BoundedStore(bound_of(fit)), uses, 10_000) > hits


_MEASURE = """
import random, sys
from pathlib import Path
from actors.cache.store.bounded import BoundedStore

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

bound, keys = int(sys.argv[1]), int(sys.argv[2])
draw = random.Random(1)
before = peak = resident_bytes()
store = BoundedStore(bound)
for number in range(keys):
    size = draw.randint(100, 800)
    store.put(f"payment:pay_{number:026d}", bytes(size), size)
    if number % 10_000 == 0:
        peak = max(peak, resident_bytes())
print((max(peak, resident_bytes()) - before) / bound)
"""


@pytest.mark.parametrize(
    ("bound_bytes", "keys"),
    [(16_000_000, 200_000)],
)
def test_the_bound_holds_for_the_memory_of_the_process(bound_bytes: int, keys: int) -> None:
    """All that a process grows by, at its peak, is within a tenth of the bound; nor is much of the bound unused. A
    million keys are put by the test of a whole shard."""
    command = [sys.executable, "-c", _MEASURE, str(bound_bytes), str(keys)]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 0.8 < grown < 1.1


NAMES = st.integers(0, 60).map("key-{}".format)
SIZES = st.one_of(st.integers(0, 500), st.integers(0, 8_000), st.just(30_000))


class StoreMachine(RuleBasedStateMachine):
    """A store beside a plain dict that is told what was kept and what has left."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[tuple[str, int]] = []
        self.bound = 20_000
        self.store: BoundedStore[int] = BoundedStore(
            self.bound, evicted=lambda key, value: self.left.append((key, value))
        )
        self.model: dict[str, int] = {}
        self.puts = 0
        self.evictions = 0

    @rule(key=NAMES, size=SIZES)
    def put(self, key: str, size: int) -> None:
        self.puts += 1
        former = self.model.pop(key, None)
        kept = self.store.put(key, self.puts, size)
        gone, self.left = dict(self.left), []
        self.evictions += len(gone)
        if former is not None and not kept:
            assert gone.pop(key) == former
        for other, value in gone.items():
            assert self.model.pop(other) == value
        if kept:
            self.model[key] = self.puts

    @rule(first=st.integers(0, 40), count=st.integers(1, 30), uses=st.integers(0, 4))
    def put_many(self, first: int, count: int, uses: int) -> None:
        for number in range(first, first + count):
            for _ in range(uses):
                self.get(f"key-{number}")
            self.put(f"key-{number}", 100)

    @rule(key=NAMES)
    def get(self, key: str) -> None:
        assert self.store.get(key) == self.model.get(key)

    @rule(key=NAMES)
    def peek(self, key: str) -> None:
        assert self.store.peek(key) == self.model.get(key)

    @rule(key=NAMES)
    def remove(self, key: str) -> None:
        assert self.store.remove(key) == self.model.pop(key, None)
        assert self.store.get(key) is None

    @rule(size=st.integers(0, 30_000))
    def reserve(self, size: int) -> None:
        self.store.reserve(size)
        gone, self.left = dict(self.left), []
        self.evictions += len(gone)
        for key, value in gone.items():
            assert self.model.pop(key) == value

    @invariant()
    def the_store_agrees_with_the_model(self) -> None:
        assert len(self.store) == len(self.model)
        assert set(self.store.hottest(1000)) == set(self.model)
        assert self.left == []
        assert self.store.evictions == self.evictions

    @invariant()
    def the_bound_holds(self) -> None:
        assert self.store.bytes_used <= self.bound


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
