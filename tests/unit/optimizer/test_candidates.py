"""Which indexes are proposed."""

from __future__ import annotations

from actors.optimizer.candidates import INCLUDE_MAX, KEYS_MAX, ROWS_MIN, candidates, in_turns, without_prefixes
from actors.optimizer.catalog import IndexSpec, Key, Table
from actors.optimizer.parser import parse
from tests.unit.optimizer.makers import ITEMS, ORDERS, catalog, index, orders

_SPEC = IndexSpec(ORDERS, (Key("customer_id"),))


def _proposed(text: str, table: Table | None = None) -> list[str]:
    found = table or orders()
    (use,) = parse(text, catalog()).uses
    return [spec.definition() for spec in candidates(use, found)]


def test_equalities_come_before_the_order() -> None:
    """So that the first rows are the wanted ones; then the order alone is no help."""
    first = _proposed("SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20")[0]
    assert first == 'ON "public"."orders" ("customer_id", "created_at" DESC)'


def test_a_range_is_the_last_key_and_the_most_selective_equality_the_first() -> None:
    """One range limits a scan, the second one only filters."""
    found = _proposed("SELECT * FROM orders WHERE region = $1 AND customer_id = $2 AND total > $3 AND created_at < $4")
    assert found[0] == 'ON "public"."orders" ("customer_id", "region", "created_at")'
    assert all(definition.count('"') <= 4 + 2 * KEYS_MAX for definition in found)


def test_a_constant_makes_a_partial_index_without_that_column() -> None:
    """Before the one over all rows."""
    found = _proposed("SELECT * FROM orders WHERE status = 'open' ORDER BY created_at LIMIT 50")
    assert found[0] == 'ON "public"."orders" ("created_at") WHERE "status" = \'open\''
    assert 'ON "public"."orders" ("status", "created_at")' in found


def test_a_literal_of_a_key_makes_no_partial_index() -> None:
    """The next call asks for another customer."""
    found = _proposed("SELECT * FROM orders WHERE customer_id = 4711")
    assert found == ['ON "public"."orders" ("customer_id")']


def test_few_columns_more_are_included() -> None:
    """And no more than the bound; none where all are read."""
    assert 'ON "public"."orders" ("customer_id") INCLUDE ("total")' in _proposed(
        "SELECT total FROM orders WHERE customer_id = $1"
    )
    assert not any("INCLUDE" in each for each in _proposed("SELECT * FROM orders WHERE customer_id = $1"))
    many = "SELECT id, status, region, created_at, total FROM orders WHERE customer_id = $1"
    assert len(many.split("FROM")[0].split(",")) > INCLUDE_MAX
    assert not any("INCLUDE" in each for each in _proposed(many))


def test_what_exists_is_not_proposed() -> None:
    """Nor a prefix of it, forwards or backwards; a partial one does not serve all rows."""
    text = "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC"
    assert _proposed(text, orders(indexes=(index(1, "customer_id", "created_at DESC"),))) == []
    partial = orders(indexes=(index(1, "customer_id", "created_at DESC", predicate="(paid)"),))
    assert 'ON "public"."orders" ("customer_id", "created_at" DESC)' in _proposed(text, partial)


def test_small_and_partitioned_tables_get_none() -> None:
    """The former need none, the latter cannot get one without a lock."""
    text = "SELECT * FROM orders WHERE customer_id = $1"
    assert _proposed(text, orders(rows=ROWS_MIN - 1)) == []
    assert _proposed(text, orders(is_partitioned=True)) == []


def test_prefixes_are_merged_into_longer_ones() -> None:
    """Of one predicate alone; what they include comes together."""
    longer = IndexSpec(ORDERS, (Key("customer_id"), Key("created_at")))
    partial = IndexSpec(ORDERS, (Key("customer_id"),), predicate='"paid"')
    assert without_prefixes([_SPEC, longer, partial]) == [longer, partial]
    one, other = IndexSpec(ORDERS, (Key("id"),), ("total",)), IndexSpec(ORDERS, (Key("id"),), ("paid",))
    assert without_prefixes([one, other]) == [IndexSpec(ORDERS, (Key("id"),), ("total", "paid"))]


def test_kinds_take_turns() -> None:
    """A bound on trials keeps none out."""
    second = IndexSpec(ORDERS, (Key("customer_id"), Key("id")))
    other = IndexSpec(ITEMS, (Key("order_id"),))
    assert in_turns([[_SPEC, second], [other]]) == [_SPEC, other, second]


def test_names_are_short_and_each_its_own() -> None:
    """The server cuts names off after 63 bytes."""
    long = IndexSpec(ORDERS, (Key("a" * 60), Key("b")))
    assert len(long.name.encode()) <= 63
    assert long.name != IndexSpec(ORDERS, (Key("a" * 60), Key("c"))).name
    assert long.name == IndexSpec(ORDERS, (Key("a" * 60), Key("b"))).name
