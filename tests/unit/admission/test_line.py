"""Whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

from serve_app.admission.line import WaitingLine


@dataclass(frozen=True)
class _Entry:
    merchant: str
    priority: int
    number: int = 0


def _line(*entries: _Entry) -> WaitingLine[_Entry]:
    line: WaitingLine[_Entry] = WaitingLine(4)
    for entry in entries:
        line.add(entry)
    return line


def _drain(line: WaitingLine[_Entry], held: Counter[object]) -> list[_Entry]:
    """Take all in their order; each keeps the place that it gets."""
    order = []
    while (entry := line.first(held.__getitem__)) is not None:
        line.remove(entry)
        held[entry.merchant] += 1
        order.append(entry)
    return order


def test_smaller_priorities_go_first_whoever_they_belong_to() -> None:
    """Also where their merchant holds more places than anybody."""
    important, other = _Entry("hog", 0), _Entry("modest", 1)
    assert _drain(_line(other, important), Counter({"hog": 50})) == [important, other]


def test_merchants_who_hold_as_much_take_turns() -> None:
    """Ten of one and two of another: the two do not wait for the ten."""
    many = [_Entry("many", 1, number) for number in range(10)]
    few = [_Entry("few", 1, number) for number in range(2)]
    order = _drain(_line(*many, *few), Counter())
    assert [order.index(entry) for entry in few] == [1, 3]
    assert [entry for entry in order if entry.merchant == "many"] == many


def test_whoever_holds_fewer_places_goes_first() -> None:
    """A merchant whose slow requests hold the places waits until the other holds as many."""
    slow = [_Entry("slow", 1, number) for number in range(3)]
    quick = [_Entry("quick", 1, number) for number in range(3)]
    assert _drain(_line(*slow, *quick), Counter({"slow": 3}))[:3] == quick


def test_who_is_missed_least_is_the_newest_of_the_least_important() -> None:
    """Of those, one of whoever waits with most."""
    line = _line(_Entry("a", 0), _Entry("b", 2), _Entry("c", 2, 1), _Entry("c", 2, 2))
    assert line.last() == _Entry("c", 2, 2)


def test_how_many_are_ahead_counts_turns() -> None:
    """A newcomer who has nothing waiting goes after one of each other merchant at most; the flooding one after all."""
    line = _line(
        *(_Entry("flood", 1, number) for number in range(8)), _Entry("other", 1), _Entry("x", 0), _Entry("y", 2)
    )
    assert line.ahead_of(1, "newcomer") == 1 + 2
    assert line.ahead_of(1, "flood") == 1 + 9
    assert line.ahead_of(0, "newcomer") == 1
    assert line.ahead_of(2, "newcomer") == 1 + 9 + 1


def test_an_entry_leaves_wherever_it_stands() -> None:
    """The line knows its length and its priorities' afterwards."""
    middle = _Entry("a", 1, 1)
    line = _line(_Entry("a", 1, 0), middle, _Entry("a", 1, 2))
    line.remove(middle)
    assert (len(line), line.count(1), middle in list(line)) == (2, 2, False)
    for entry in list(line):
        line.remove(entry)
    assert (line.first(Counter[Hashable]().__getitem__), line.last(), len(line)) == (None, None, 0)
