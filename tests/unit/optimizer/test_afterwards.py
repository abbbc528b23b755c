"""Writes once an index is kept."""

from __future__ import annotations

from actors.optimizer.afterwards import CALLS_MIN, WriteWatch
from actors.optimizer.catalog import IndexSpec, Key
from actors.optimizer.shape import Write
from actors.optimizer.workload import Statement
from actors.optimizer.write_cost import WriteStatement
from tests.unit.optimizer.makers import ORDERS

_SPEC = IndexSpec(ORDERS, (Key("total"),))


def _insert(calls: int, mean_ms: float) -> list[WriteStatement]:
    # Each call near its mean.
    statement = Statement(1, "", calls, calls * mean_ms, calls, calls * (mean_ms * 1.1) ** 2)
    return [WriteStatement(statement, Write(ORDERS, "insert"))]


def _watching(mean_ms: float) -> WriteWatch:
    watch = WriteWatch()
    watch.note(_SPEC, _insert(1000, mean_ms))
    return watch


def test_an_index_that_slows_writes_beyond_noise_is_told_once() -> None:
    """With by how much."""
    watch = _watching(1.0)
    ((spec, why),) = watch.slowed(_insert(1000, 1.5), 0.10)
    assert spec == _SPEC
    assert "50.0%" in why
    assert watch.slowed(_insert(1000, 1.5), 0.10) == []


def test_a_little_slower_is_what_an_index_costs() -> None:
    """It stays, and the matter is closed."""
    watch = _watching(1.0)
    assert watch.slowed(_insert(1000, 1.05), 0.10) == []
    assert watch.slowed(_insert(1000, 9.0), 0.10) == []


def test_too_few_calls_are_waited_for() -> None:
    """The next look may have enough."""
    watch = _watching(1.0)
    assert watch.slowed(_insert(CALLS_MIN - 1, 9.0), 0.10) == []
    assert watch.slowed([], 0.10) == []
    assert len(watch.slowed(_insert(CALLS_MIN, 9.0), 0.10)) == 1
