"""What an index costs those who write."""

from __future__ import annotations

import pytest

from actors.optimizer.catalog import IndexSpec, Key
from actors.optimizer.shape import Write
from actors.optimizer.workload import Statement
from actors.optimizer.write_cost import WriteStatement, write_loss
from tests.unit.optimizer.makers import ITEMS, ORDERS, index, orders

_SPEC = IndexSpec(ORDERS, (Key("total"),))
_ONE_ROW = Statement(1, "", calls=100, total_ms=100.0, rows=100)


def _loss(*writes: Write, statement: Statement = _ONE_ROW, hot_updates: int = 0, commit_ms: float = 1.0) -> float:
    table = orders(updates=100, hot_updates=hot_updates, indexes=(index(1, "id"), index(2, "customer_id")))
    return write_loss(_SPEC, [WriteStatement(statement, write) for write in writes], table, 0.1, commit_ms)


def test_an_insert_pays_for_each_row_beside_what_it_takes_anyway() -> None:
    """Its commit included."""
    assert _loss(Write(ORDERS, "insert")) == pytest.approx(0.05)
    assert _loss(Write(ORDERS, "insert"), commit_ms=0.0) == pytest.approx(0.1)


def test_other_tables_and_deletes_pay_nothing() -> None:
    """A deleted row's entry is vacuumed later."""
    assert _loss(Write(ITEMS, "insert")) == 0.0
    assert _loss(Write(ORDERS, "delete")) == 0.0


def test_an_update_that_stays_on_its_page_pays_nothing() -> None:
    """Unless it sets a column of the index."""
    assert _loss(Write(ORDERS, "update", frozenset({"paid"})), hot_updates=100) == 0.0
    assert _loss(Write(ORDERS, "update", frozenset({"paid"})), hot_updates=50) == pytest.approx(0.025)
    assert _loss(Write(ORDERS, "update", frozenset({"total"})), hot_updates=0) == pytest.approx(0.05)


def test_an_update_that_left_its_page_for_the_index_pays_for_all_indexes() -> None:
    """Those that it spared before."""
    assert _loss(Write(ORDERS, "update", frozenset({"total"})), hot_updates=100) == pytest.approx(3 * 0.05)
