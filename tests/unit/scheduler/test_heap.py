"""Keyed items, smallest first."""

from __future__ import annotations

import random

from actors.scheduler.heap import Heap


def test_it_agrees_with_a_sorted_list() -> None:
    """Through any mixture of pushes, new keys, removals and pops."""
    draw = random.Random(7)
    heap: Heap[int, float] = Heap()
    model: dict[int, float] = {}
    for _ in range(5_000):
        item, key = draw.randrange(50), draw.random()
        match draw.randrange(4):
            case 0 | 1:
                heap.push(item, key)
                model[item] = key
            case 2:
                assert heap.remove(item) == (model.pop(item, None) is not None)
            case _ if model:
                smallest = min(model, key=model.__getitem__)
                assert heap.first() == (model[smallest], smallest)
                assert heap.pop() == smallest
                del model[smallest]
        assert len(heap) == len(model)
    assert sorted(model, key=model.__getitem__) == [heap.pop() for _ in range(len(model))]
    assert heap.first() is None


def test_equal_keys_go_in_the_order_of_coming() -> None:
    """So a queue of equals is first in, first out."""
    heap: Heap[str, float] = Heap()
    for item in "dacb":
        heap.push(item, 1.0)
    assert [heap.pop() for _ in range(4)] == list("dacb")


def test_what_is_not_live_takes_no_more_room_than_what_is() -> None:
    """However often one item gets another key."""
    heap: Heap[int, float] = Heap()
    for turn in range(10_000):
        heap.push(turn % 10, float(-turn))
    assert len(heap._entries) <= 2 * 10 + 65
