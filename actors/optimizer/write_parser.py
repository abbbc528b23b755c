"""Reads what a statement writes, for what an index would cost it."""

from __future__ import annotations

from sqlglot import exp

from actors.optimizer.catalog import Catalog
from actors.optimizer.parser import folded, statement_of
from actors.optimizer.shape import NotUnderstood, Write


def parse_write(text: str, catalog: Catalog) -> Write | None:
    """Return what a statement writes, None where it writes no table that there is, or more than one."""
    try:
        tree = statement_of(text)
    except NotUnderstood:
        return None
    writes = list(tree.find_all(exp.Insert, exp.Update, exp.Delete)) if tree is not None else []
    if len(writes) != 1:
        return None
    target = writes[0].find(exp.Table)
    table = catalog.find(target.db, target.name) if target is not None else None
    if table is None:
        return None
    if isinstance(writes[0], exp.Update):
        columns = (each.this.this for each in writes[0].expressions if isinstance(each.this, exp.Column))
        return Write(table.name, "update", frozenset(map(folded, columns)))
    return Write(table.name, "insert" if isinstance(writes[0], exp.Insert) else "delete")
