"""Counts of uses in little memory."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.cache.store.sketch import COUNT_MAX, Sketch


def test_what_was_never_used_counts_nothing() -> None:
    """A new sketch is empty."""
    assert Sketch(1024).count("a") == 0


def test_uses_are_counted() -> None:
    """One by one, each key for itself."""
    sketch = Sketch(1024)
    for _ in range(3):
        sketch.add("a")
    sketch.add("b")
    assert (sketch.count("a"), sketch.count("b")) == (3, 1)


def test_a_count_stops_at_its_maximum() -> None:
    """However often the key is used."""
    sketch = Sketch(1024)
    for _ in range(300):
        sketch.add("a")
    assert sketch.count("a") == COUNT_MAX


def test_ageing_halves_every_count() -> None:
    """What is not used any more is forgotten after four times."""
    sketch = Sketch(1024)
    for _ in range(100):
        sketch.add("a")
    counts = []
    for _ in range(4):
        sketch.age()
        counts.append(sketch.count("a"))
    assert counts == [7, 3, 1, 0]


def test_a_count_from_elsewhere_is_taken_over() -> None:
    """It raises what is known, and never lowers it."""
    sketch = Sketch(1024)
    sketch.at_least("a", 5)
    sketch.at_least("a", 2)
    assert sketch.count("a") == 5
    sketch.add("a")
    assert sketch.count("a") == 6


def test_the_size_is_what_was_asked_for() -> None:
    """It is part of a bound of bytes; below a minimum there is no use in it."""
    assert Sketch(100_003).size_bytes == 100_003
    assert Sketch(0).size_bytes == 64


@given(st.lists(st.text(alphabet="abcdef", max_size=2)), st.integers(0, 400))
def test_no_count_is_too_low(keys: list[str], width: int) -> None:
    """Whatever shares its places."""
    sketch = Sketch(width)
    for key in keys:
        sketch.add(key)
    for key, count in Counter(keys).items():
        assert min(count, COUNT_MAX) <= sketch.count(key) <= COUNT_MAX


def test_keys_used_once_are_told_from_keys_used_twice() -> None:
    """The doorkeeper takes first uses, so that even as many keys as there are bytes hardly touch the counters."""
    sketch = Sketch(10_000)
    for number in range(10_000):
        sketch.add(f"once-{number}")
    assert sum(sketch.count(f"once-{number}") > 1 for number in range(10_000)) < 1_000


def test_few_counts_are_too_high() -> None:
    """With four bytes for each key that may be used, one in ten at most."""
    draw = random.Random(1)
    keys = [f"key-{number}" for number in range(5_000)]
    uses = Counter(draw.choices(keys, weights=[1 / (rank + 1) for rank in range(len(keys))], k=20_000))
    sketch = Sketch(4 * len(keys))
    for key, count in uses.items():
        for _ in range(count):
            sketch.add(key)
    wrong = sum(sketch.count(key) > min(uses[key], COUNT_MAX) for key in keys)
    assert wrong < 0.1 * len(keys), wrong
