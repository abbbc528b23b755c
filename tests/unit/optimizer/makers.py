"""Tables for tests of the optimizer's cores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.optimizer.catalog import Catalog, Column, Index, Key, Table, TableName

ORDERS = TableName("public", "orders")
ITEMS = TableName("public", "items")


def table(name: TableName, columns: Mapping[str, float], **more: Any) -> Table:
    """Return a table with these columns, each with how many values it has."""
    made = {column: Column(column, "bigint", 8, distinct) for column, distinct in columns.items()}
    given = {"oid": 1, "rows": 1e6, "size_bytes": 10**8, **more}
    return Table(name=name, columns=made, **given)


def index(oid: int, *columns: str, name: str = "", **more: Any) -> Index:
    """Return an index of the orders."""
    keys = tuple(Key(column.removesuffix(" DESC"), column.endswith(" DESC")) for column in columns)
    given: dict[str, Any] = {
        "include": (), "predicate": None, "method": "btree", "size_bytes": 1000, "scans": 0, **more,
    }  # fmt: skip
    given.setdefault("definition", f"CREATE INDEX {name} ON public.orders USING btree ({', '.join(columns)})")
    return Index(oid=oid, table=ORDERS, name=name or f"index_{oid}", keys=keys, **given)


def orders(**more: Any) -> Table:
    """Return a table of a million orders."""
    columns = {"id": 1e6, "customer_id": 5e4, "status": 4, "region": 50, "created_at": 9e5, "total": 1e5, "paid": 2}
    return table(ORDERS, columns, **more)


def catalog(**more: Any) -> Catalog:
    """Return a catalogue of orders and their items."""
    return Catalog.of([orders(**more), table(ITEMS, {"id": 3e6, "order_id": 1e6, "sku": 1000, "quantity": 10})])
