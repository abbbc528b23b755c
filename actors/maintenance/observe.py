"""Reads the figures of a schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from json import loads
from typing import Any

from actors.maintenance.figures import (
    Figures,
    IndexFigures,
    PartitionFigures,
    ServerFigures,
    TableFigures,
    Trigger,
)
from actors.maintenance.policy import PartitionSet
from actors.pool.statements import load_statements

Fetch = Callable[..., Awaitable[Sequence[Any]]]
"""A statement and its arguments in, rows out: of a connection, or of a ``Database``."""

SCHEMA = "public"


class Observer:
    """Reads what the statistics say; none of it locks anything, or reads a table."""

    def __init__(self, fetch: Fetch, schema: str = SCHEMA) -> None:
        self._fetch = fetch
        self._schema = schema
        self._sql = load_statements("actors.maintenance")

    async def figures(self, partitions: Sequence[PartitionSet] = ()) -> Figures:
        """Return all figures."""
        server = await self.server()
        return Figures(
            datetime.now(UTC),
            server,
            tuple(await self.tables(server)),
            tuple(await self.indexes()),
            tuple([await self.partitions(each) for each in partitions]),
        )

    async def server(self) -> ServerFigures:
        """Return the settings."""
        row = (await self._fetch(self._sql["server"]))[0]
        return ServerFigures(
            row["version"],
            Trigger(row["vacuum_base"], row["vacuum_share"]),
            Trigger(row["insert_base"], row["insert_share"]),
            Trigger(row["analyze_base"], row["analyze_share"]),
            row["freeze_age_max"],
            row["multixact_freeze_age_max"],
            row["failsafe_age"],
            row["xid_age"],
            row["multixact_age"],
        )

    async def tables(self, server: ServerFigures, name: str | None = None) -> list[TableFigures]:
        """Return the tables of the schema, or the one of that name."""
        rows = await self._fetch(self._sql["tables"], self._schema, _relation(name))
        return [_table(dict(row), server) for row in rows]

    async def indexes(self, name: str | None = None) -> list[IndexFigures]:
        """Return the indexes of the schema, or the one of that name."""
        rows = await self._fetch(self._sql["indexes"], self._schema, _relation(name))
        return [IndexFigures(**dict(row)) for row in rows]

    async def partitions(self, kept: PartitionSet) -> PartitionFigures:
        """Return the days of a set."""
        rows = await self._fetch(self._sql["partitions"], self._schema, list(kept.parents))
        return PartitionFigures(kept.name, rows[0]["newest"], rows[0]["oldest"])

    async def index_reader(self) -> str | None:
        """Return the schema of the extension that tells how full an index is; None where it cannot be used."""
        rows = await self._fetch(self._sql["has_pgstattuple"])
        return str(rows[0]["schema"]) if rows else None


def _relation(name: str | None) -> str | None:
    return None if name is None else name.rpartition(".")[2]


def _table(row: dict[str, Any], server: ServerFigures) -> TableFigures:
    options: Mapping[str, str] = loads(row.pop("options"))
    return TableFigures(
        **row,
        vacuum=_trigger(options, "vacuum", server.vacuum),
        insert_vacuum=_trigger(options, "vacuum_insert", server.insert_vacuum),
        analyze=_trigger(options, "analyze", server.analyze),
    )


def _trigger(options: Mapping[str, str], kind: str, server: Trigger) -> Trigger:
    base, share = options.get(f"autovacuum_{kind}_threshold"), options.get(f"autovacuum_{kind}_scale_factor")
    return Trigger(server.base if base is None else float(base), server.share if share is None else float(share))
