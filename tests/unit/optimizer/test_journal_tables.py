"""The optimizer makes its own tables where no migration does; both ways give the same ones."""

from __future__ import annotations

import re
from importlib.resources import files

from actors.pool.statements import load_statements


def _tables(sql: str) -> dict[str, str]:
    """Return what stands between the brackets of each CREATE TABLE, with single spaces."""
    found = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*?)\n\);?", sql, re.DOTALL)
    return {name: " ".join(columns.split()) for name, columns in found}


def test_the_migration_makes_the_tables_that_the_optimizer_would() -> None:
    """With the same columns, defaults and constraints."""
    migration = files("serve_app.storage.migrations.versions").joinpath("0009_optimizer.sql").read_text("utf-8")
    assert _tables(migration) == _tables(load_statements("actors.optimizer")["make_journal"])
    assert set(_tables(migration)) == {"optimizer_epochs", "optimizer_journal"}
