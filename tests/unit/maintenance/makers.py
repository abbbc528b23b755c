"""Figures of a database that nothing is to be done about, but for what a test says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from actors.maintenance.figures import (
    Figures,
    IndexFigures,
    PartitionFigures,
    ServerFigures,
    TableFigures,
    Trigger,
)
from actors.maintenance.past import Past

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIB = 1024 * 1024
SERVER = ServerFigures(
    version=180_000,
    vacuum=Trigger(50, 0.2),
    insert_vacuum=Trigger(1000, 0.2),
    analyze=Trigger(50, 0.1),
    freeze_age_max=200_000_000,
    multixact_freeze_age_max=400_000_000,
    failsafe_age=1_600_000_000,
    xid_age=1000,
    multixact_age=0,
)


def table(name: str = "public.payments", **given: Any) -> TableFigures:
    """Return a table of a million rows that was just seen to."""
    usual: dict[str, Any] = {
        "is_parent": False,
        "rows": 1_000_000.0,
        "heap_bytes": 400 * MIB,
        "index_bytes": 100 * MIB,
        "unfrozen_bytes": 10 * MIB,
        "dead": 0,
        "inserted": 0,
        "modified": 0,
        "xid_age": 1000,
        "multixact_age": 0,
        "analyzed_at": NOW,
        "vacuumed_at": NOW,
        "vacuum": SERVER.vacuum,
        "insert_vacuum": SERVER.insert_vacuum,
        "analyze": SERVER.analyze,
    }
    return TableFigures(name, **{**usual, **given})


def index(name: str = "public.payments_pkey", **given: Any) -> IndexFigures:
    """Return an index as it was built."""
    usual: dict[str, Any] = {
        "table": "public.payments",
        "table_bytes": 400 * MIB,
        "bytes": 100 * MIB,
        "expected_bytes": 100 * MIB,
        "is_valid": True,
        "is_in_work": False,
    }
    return IndexFigures(name, **{**usual, **given})


def figures(
    tables: Sequence[TableFigures] = (),
    indexes: Sequence[IndexFigures] = (),
    partitions: Sequence[PartitionFigures] = (),
    server: ServerFigures = SERVER,
) -> Figures:
    """Return the figures of a database with these."""
    return Figures(NOW, server, tuple(tables), tuple(indexes), tuple(partitions))


def past(ago_s: float, *, was_done: bool = True, before: Any = None, after: Any = None) -> Past:
    """Return something that was done a while ago."""
    return Past(NOW - timedelta(seconds=ago_s), was_done, before or {}, after or {})
