"""Drops indexes that serve nobody, and puts one back where a statement became slower without it."""

from __future__ import annotations

from dataclasses import dataclass

from actors.optimizer.builds import Builder, NotBuilt, drop_ddl, restore_ddl
from actors.optimizer.catalog import IndexSpec
from actors.optimizer.journal import Action, Entry, Journal
from actors.optimizer.measure import Meter
from actors.optimizer.policy import Drops, Policy
from actors.optimizer.redundancy import Burden, Fault
from actors.optimizer.survey import Survey
from actors.optimizer.trial import workload_gain


@dataclass(slots=True)
class Removals:
    """Removals on one database, one after the other."""

    found: Survey
    meter: Meter
    builder: Builder
    journal: Journal
    policy: Policy

    def may_drop(self, burden: Burden) -> bool:
        """Whether the policy lets this one go."""
        return self.policy.drops is Drops.ALL or burden.index.is_ours

    async def take_back(self, spec: IndexSpec, why: str) -> Entry | None:
        """Drop an index that was kept; None where it is gone already, or stays for now."""
        await self.journal.check()
        if await self.builder.is_valid(spec.table, spec.name) is None:
            return None
        try:
            await self.builder.drop(spec.table, spec.name)
        except NotBuilt:
            return None
        return await self.journal.record(
            Action.DROPPED,
            table=str(spec.table),
            index=spec.name,
            why=f"harmful: {why}",
            statement=drop_ddl(spec.table.schema, spec.name),
            undo=spec.ddl(),
        )

    async def remove(self, burden: Burden) -> list[Entry]:
        """Drop an index and write it down; put it back where the statements that used it became slower.

        Raises ``NotOwner``, asyncpg's errors. One that cannot be dropped now stays.
        """
        await self.journal.check()
        index = burden.index
        assert not index.constrains, "what a constraint stands on is no burden"
        if burden.fault is Fault.INVALID and await self.builder.is_valid(index.table, index.name) is not False:
            return []
        users = [
            each
            for each in self.found.subjects_of(index.table)
            if index.name in self.found.measures[each.query_id].indexes
        ]
        before = [await self.meter.measure(each) for each in users]
        try:
            await self.builder.drop(index.table, index.name)
        except NotBuilt:
            return []
        after = [await self.meter.measure(each) for each in users]
        gain = workload_gain(users, before, after) if users else None
        dropped = await self.journal.record(
            Action.DROPPED,
            table=str(index.table),
            index=index.name,
            why=f"{burden.fault.value}: {burden.reason}",
            statement=drop_ddl(index.table.schema, index.name),
            undo=None if burden.fault is Fault.INVALID else restore_ddl(index),
            before_ms=gain.before_ms if gain is not None else None,
            after_ms=gain.after_ms if gain is not None else None,
        )
        if gain is None or gain.high >= -self.policy.bounds.statement_loss_max:
            for subject, measures in zip(users, after, strict=True):
                self.found.measures[subject.query_id] = measures
            return [dropped]
        await self.builder.run(restore_ddl(index), index.table.schema, index.name)
        restored = await self.journal.record(
            Action.RESTORED,
            table=str(index.table),
            index=index.name,
            why=f"without it its statements take {-gain.share:.1%} more",
            statement=restore_ddl(index),
            before_ms=gain.after_ms,
            after_ms=gain.before_ms,
        )
        await self.journal.mark_undone(dropped.id, restored.id)
        return [dropped, restored]
