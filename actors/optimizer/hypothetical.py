"""Asks the planner what it would do with an index that is not there (HypoPG)."""

from __future__ import annotations

from collections.abc import Sequence

from actors.optimizer.catalog import IndexSpec, quoted
from actors.optimizer.measure import Meter, Subject
from actors.pool.connector import Connection


class Hypothetical:
    """Hypothetical indexes of one session; nobody else sees them."""

    def __init__(self, connection: Connection, meter: Meter, schema: str) -> None:
        self._connection = connection
        self._meter = meter
        self._schema = quoted(schema)

    async def would_help(self, subject: Subject, spec: IndexSpec, gain_min: float) -> bool:
        """Whether the planner would use an index for a subject, and expects of it at least such a share less cost."""
        before, _ = await self.cost(subject, ())
        after, used = await self.cost(subject, [spec])
        return spec in used and after <= before * (1 - gain_min)

    async def cost(self, subject: Subject, specs: Sequence[IndexSpec]) -> tuple[float, frozenset[IndexSpec]]:
        """Return what the planner expects of a subject with these indexes, and which of them it would use."""
        names: dict[str, IndexSpec] = {}
        try:
            for spec in specs:
                made = await self._connection.fetchrow(
                    f"SELECT indexname FROM {self._schema}.hypopg_create_index($1)", f"CREATE INDEX {spec.definition()}"
                )
                names[made["indexname"]] = spec
            plan = await self._meter.plan(subject.text, subject.arguments[0])
        finally:
            await self._connection.execute(f"SELECT {self._schema}.hypopg_reset()")
        return plan.cost, frozenset(names[name] for name in plan.indexes if name in names)
