"""What is read out of statements."""

from __future__ import annotations

import pytest

from actors.optimizer.catalog import Key
from actors.optimizer.parser import STATEMENT_LENGTH_MAX, parse, readable
from actors.optimizer.shape import NotUnderstood, Parameter, Role
from actors.optimizer.write_parser import parse_write
from tests.unit.optimizer.makers import ITEMS, ORDERS, catalog


def test_filters_order_and_limit_of_one_table() -> None:
    """A constant is told from a parameter, and the order keeps its direction."""
    shape = parse(
        "SELECT id, total FROM orders WHERE customer_id = $1 AND status = 'open' AND created_at > $2"
        " ORDER BY created_at DESC LIMIT $3",
        catalog(),
    )
    (use,) = shape.uses
    assert use.equal == ["customer_id"]
    assert use.ranges == ["created_at"]
    assert [constant.sql for constant in use.constants] == ["\"status\" = 'open'"]
    assert use.order == (Key("created_at", True),)
    assert use.read == {"id", "total", "customer_id", "status", "created_at"}
    assert shape.parameters == {
        1: Parameter(Role.VALUE, 0, "customer_id"),
        2: Parameter(Role.VALUE, 0, "created_at"),
        3: Parameter(Role.LIMIT),
    }


@pytest.mark.parametrize(
    ("condition", "sql"),
    [
        ("paid", '"paid"'),
        ("NOT paid", 'NOT "paid"'),
        ("orders.total IS NULL", '"total" IS NULL'),
        ("status <> 'done'", "\"status\" <> 'done'"),
        ("status IN ('a', 'b')", "\"status\" IN ('a', 'b')"),
    ],
)
def test_a_condition_without_a_parameter_is_a_constant(condition: str, sql: str) -> None:
    """In words that an index's WHERE takes."""
    (use,) = parse(f"SELECT * FROM orders WHERE {condition}", catalog()).uses
    assert [constant.sql for constant in use.constants] == [sql]
    assert use.reads_all


def test_parameters_without_a_space_between_are_no_quoted_text() -> None:
    """As drivers send them: what is between two dollars would be a quote by its tag."""
    shape = parse("SELECT id FROM orders WHERE (created_at,id) > ($1,$2) AND region IN ($3,$4)", catalog())
    assert [parameter.column for parameter in shape.parameters.values()] == ["created_at", "id", "region", "region"]


def test_joins_are_told_from_filters() -> None:
    """By alias or without; a correlated subquery compares with a value from outside."""
    shape = parse(
        "SELECT o.id, sku FROM orders AS o JOIN items ON order_id = o.id WHERE o.region = any($1) AND quantity > $2",
        catalog(),
    )
    of_orders, of_items = shape.uses
    assert (of_orders.joined, of_orders.any_of) == (["id"], ["region"])
    assert (of_items.joined, of_items.ranges) == (["order_id"], ["quantity"])
    assert shape.parameters[1].role is Role.VALUES
    inner = parse("SELECT id FROM orders WHERE EXISTS (SELECT FROM items WHERE order_id = orders.id)", catalog())
    assert next(use for use in inner.uses if use.table == ITEMS).equal == ["order_id"]


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE orders SET total = $1 WHERE id = $2",
        "SELECT * FROM orders WHERE id = $1 FOR UPDATE",
        "WITH gone AS (DELETE FROM items RETURNING id) SELECT * FROM gone",
        "SELECT * INTO other FROM orders",
        "EXPLAIN ANALYZE SELECT * FROM orders",
        "VACUUM orders",
        "/* a comment */ INSERT INTO items DEFAULT VALUES",
    ],
)
def test_what_writes_or_locks_is_no_read(text: str) -> None:
    """Nor is what is no statement of data."""
    assert not parse(text, catalog()).is_read


def test_what_is_no_table_is_named() -> None:
    """A view or a function may do anything."""
    assert parse("SELECT * FROM a_view WHERE id = $1", catalog()).reads_unknown
    assert not parse("WITH some AS (SELECT id FROM orders) SELECT * FROM some", catalog()).reads_unknown
    assert "pg_sleep" in parse("SELECT pg_sleep($1), id FROM orders", catalog()).functions


@pytest.mark.parametrize("call", ["take($1)", "take /* now */ ($1)", "public.TAKE ($1)", 'public."take"($1)'])
def test_no_way_to_write_a_call_hides_it(call: str) -> None:
    """What a function may do is looked up by its name."""
    assert "take" in parse(f"SELECT id FROM orders WHERE region = {call}", catalog()).functions


def test_a_typed_constant_is_made_readable_again() -> None:
    """The statistics show it without its quotes."""
    text = "SELECT id FROM orders WHERE created_at > now() - interval $1"
    assert readable(text).endswith("now() - ($1)::interval")
    assert parse(text, catalog()).parameters[1].role is Role.UNKNOWN


@pytest.mark.parametrize("text", ["SELECT FROM WHERE (", "SELECT 1; SELECT 2", "SELECT " + "1," * STATEMENT_LENGTH_MAX])
def test_what_is_not_understood_says_so(text: str) -> None:
    """And nothing is guessed."""
    with pytest.raises(NotUnderstood):
        parse(text, catalog())


def test_writes_tell_their_table_and_columns() -> None:
    """Those of an update; of two writes in one statement nothing is told."""
    update = parse_write("UPDATE orders SET total = $1, paid = true WHERE id = $2", catalog())
    assert update is not None
    assert (update.table, update.kind, update.columns) == (ORDERS, "update", frozenset({"total", "paid"}))
    insert = parse_write("INSERT INTO items (id, order_id) VALUES ($1,$2)", catalog())
    assert insert is not None
    assert insert.kind == "insert"
    assert parse_write("SELECT * FROM orders", catalog()) is None
