"""Tries an index for real and keeps it only where the measure proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.optimizer.builds import Builder, NotBuilt, drop_ddl
from actors.optimizer.catalog import IndexSpec
from actors.optimizer.decision import Gain, Verdict, judge, paired_gain
from actors.optimizer.journal import Action, Entry, Journal
from actors.optimizer.measure import Measures, Meter, Subject
from actors.optimizer.policy import Policy
from actors.optimizer.survey import Survey, measure_into
from actors.optimizer.write_cost import WriteProbe, write_loss


@dataclass(slots=True)
class Trials:
    """Trials on one database, one after the other. What is kept changes the survey's measures."""

    found: Survey
    meter: Meter
    builder: Builder
    probe: WriteProbe
    journal: Journal
    policy: Policy
    commit_ms: float

    async def attempt(self, spec: IndexSpec, subject: Subject) -> Entry:
        """Try one index for a statement and write down what came of it. Raises ``NotOwner``, asyncpg's errors."""
        await self.journal.check()
        table = self.found.catalog.tables[spec.table]
        cost = await self.probe.row_cost_ms(spec, table)
        loss = write_loss(spec, self.found.writes, table, cost, self.commit_ms)
        if loss > self.policy.bounds.write_loss_max:
            return await self._refuse(spec, f"writes to {spec.table} would be {loss:.1%} slower")
        # What was measured long ago was measured under another load.
        await measure_into(self.found, self.meter, subject)
        if subject.query_id not in self.found.measures:
            return await self._refuse(spec, "its statement cannot be run any more")
        try:
            size = await self.builder.build(spec)
        except NotBuilt as error:
            return await self._refuse(spec, f"not built: {error}")
        return await self._decide(spec, size, loss)

    async def _decide(self, spec: IndexSpec, size_bytes: int, loss: float) -> Entry:
        affected = [each for each in self.found.subjects_of(spec.table) if await self._uses(each, spec)]
        if not affected:
            await self.builder.drop(spec.table, spec.name)
            return await self._refuse(spec, "no plan uses it")
        before = [self.found.measures[each.query_id] for each in affected]
        after = [await self.meter.measure(each) for each in affected]
        gain = workload_gain(affected, before, after)
        gains = [paired_gain(one.times_ms, other.times_ms) for one, other in zip(before, after, strict=True)]
        verdict = judge(gain, gains, loss, self.policy.bounds)
        if not verdict.keeps:
            await self.builder.drop(spec.table, spec.name)
            return await self._refuse(spec, verdict.reason, gain)
        for subject, measures in zip(affected, after, strict=True):
            self.found.measures[subject.query_id] = measures
        return await self._keep(spec, verdict, gain, size_bytes, loss)

    async def _uses(self, subject: Subject, spec: IndexSpec) -> bool:
        """Whether any plan of a statement uses the index, with any of its arguments."""
        for arguments in subject.arguments:
            if spec.name in (await self.meter.plan(subject.text, arguments)).indexes:
                return True
        return False

    async def _keep(self, spec: IndexSpec, verdict: Verdict, gain: Gain, size_bytes: int, loss: float) -> Entry:
        return await self.journal.record(
            Action.CREATED,
            table=str(spec.table),
            index=spec.name,
            why=f"{verdict.reason}; it takes {size_bytes / 1e6:.1f} MB and writes are {loss:.1%} slower",
            statement=spec.ddl(),
            undo=drop_ddl(spec.table.schema, spec.name),
            before_ms=gain.before_ms,
            after_ms=gain.after_ms,
        )

    async def _refuse(self, spec: IndexSpec, why: str, gain: Gain | None = None) -> Entry:
        return await self.journal.record(
            Action.REJECTED,
            table=str(spec.table),
            index=spec.name,
            why=why,
            statement=spec.ddl(),
            before_ms=gain.before_ms if gain is not None else None,
            after_ms=gain.after_ms if gain is not None else None,
        )


def workload_gain(subjects: Sequence[Subject], before: Sequence[Measures], after: Sequence[Measures]) -> Gain:
    """Compare what the statements take together, each as often as it is called, argument set by argument set."""
    return paired_gain(_totals(subjects, before), _totals(subjects, after))


def _totals(subjects: Sequence[Subject], measures: Sequence[Measures]) -> list[float]:
    calls = [subject.statement.calls for subject in subjects]
    rounds = zip(*(each.times_ms for each in measures), strict=True)
    return [sum(count * time for count, time in zip(calls, times, strict=True)) for times in rounds]
