"""What is made of a server's counts."""

from __future__ import annotations

from actors.optimizer.catalog import Catalog
from actors.optimizer.parser import parse
from actors.optimizer.plans import Plan, TableScan
from actors.optimizer.workload import Statement, costliest, n_plus_one_warnings, scan_warnings, since, slowdown
from tests.unit.optimizer.makers import ITEMS, ORDERS, catalog, orders, table


def _statement(query_id: int, calls: int, total_ms: float, rows: int = 0, text: str = "") -> Statement:
    return Statement(query_id, text, calls, total_ms, rows, total_ms**2 / calls if calls else 0.0)


def test_what_was_done_between_two_looks() -> None:
    """What did not run is left out; counts that fell were reset, and count anew."""
    before = {each.query_id: each for each in (_statement(1, 10, 100), _statement(2, 5, 50), _statement(3, 100, 10))}
    now = [_statement(1, 12, 130, 4), _statement(2, 5, 50), _statement(3, 3, 9), _statement(4, 1, 1)]
    done = {each.query_id: (each.calls, each.total_ms) for each in since(before, now)}
    assert done == {1: (2, 30.0), 3: (3, 9), 4: (1, 1)}


def test_the_costliest_cover_their_share() -> None:
    """The rest is left alone, and the limit holds."""
    all_of_them = [_statement(number, 1, time_ms) for number, time_ms in enumerate((1.0, 900.0, 99.0))]
    assert [each.query_id for each in costliest(all_of_them, share=0.99)] == [1, 2]
    assert [each.query_id for each in costliest(all_of_them, share=1.0, limit=1)] == [1]


def test_a_slowdown_is_told_with_what_is_certain_of_it() -> None:
    """Of a call or two nothing is certain."""
    share, least = slowdown(_statement(1, 1000, 1000.0), _statement(1, 1000, 1500.0))
    assert share == 0.5
    assert 0.4 < least <= 0.5
    assert slowdown(_statement(1, 1000, 1000.0), _statement(1, 1, 100.0))[1] < 0


def _plan(*scans: TableScan) -> Plan:
    return Plan("", 1.0, 1.0, frozenset(), scans, 10)


def test_a_scan_that_keeps_little_of_a_large_table_is_a_warning() -> None:
    """One that keeps much is the right way to read it, and a small table is quick to read."""
    little, much = TableScan(ORDERS, 1e6, 20), TableScan(ORDERS, 1e6, 5e5)
    small = TableScan(ORDERS, 500, 1)
    found = scan_warnings({1: _plan(little), 2: _plan(much), 3: _plan(small)})
    assert [(each.kind, each.query_id) for each in found] == [("sequential_scan", 1)]


def _related() -> Catalog:
    columns = {"id": 3e6, "order_id": 1e6}
    items = table(ITEMS, columns, references=frozenset({("order_id", ORDERS)}))
    return Catalog.of([orders(), items])


def _n_plus_one(parent: Statement, child: Statement, among: Catalog) -> list[int]:
    shapes = {each.query_id: parse(each.text, among) for each in (parent, child)}
    return [each.query_id for each in n_plus_one_warnings([parent, child], shapes, among)]


def test_a_look_up_for_each_row_of_another_result_is_a_warning() -> None:
    """Where a foreign key joins the two tables, and the counts agree."""
    parent = _statement(1, 10, 10, rows=1000, text="SELECT id FROM orders WHERE customer_id = $1")
    child = _statement(2, 1000, 100, rows=3000, text="SELECT * FROM items WHERE order_id = $1")
    assert _n_plus_one(parent, child, _related()) == [2]
    assert _n_plus_one(parent, child, catalog()) == []
    seldom = _statement(2, 300, 100, rows=900, text=child.text)
    assert _n_plus_one(parent, seldom, _related()) == []
