"""One round of the optimizer on a database: look, and where it may, act."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.optimizer.advisor import expected_bytes, propose, specs_for, worth_a_look
from actors.optimizer.afterwards import WriteWatch
from actors.optimizer.builds import Builder
from actors.optimizer.catalog import Catalog, TableName
from actors.optimizer.hypothetical import Hypothetical
from actors.optimizer.journal import Action, Entry, Journal
from actors.optimizer.measure import Meter
from actors.optimizer.plans import PlanAlarm, PlanBook
from actors.optimizer.policy import Policy
from actors.optimizer.redundancy import Burden, Fault, burdens, leftovers
from actors.optimizer.removal import Removals
from actors.optimizer.report import Report
from actors.optimizer.server import Examples, Facts, read_catalog, read_facts, read_statements
from actors.optimizer.survey import Survey, survey
from actors.optimizer.trial import Trials
from actors.optimizer.workload import Statement, since
from actors.optimizer.write_cost import WriteProbe
from actors.pool.connector import Connection

_UNOBSERVED = (Fault.INVALID, Fault.DUPLICATE, Fault.REDUNDANT)


@dataclass(slots=True)
class Memory:
    """What is carried from one round to the next."""

    statements: dict[int, Statement] = field(default_factory=dict)
    plans: PlanBook = field(default_factory=PlanBook)
    examples: Examples = field(default_factory=Examples)
    writes: WriteWatch = field(default_factory=WriteWatch)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    epoch: int | None = None
    """That of the journal; None: the next round that acts takes one."""


async def look(connection: Connection, policy: Policy, memory: Memory) -> Report:
    """Report what a database lacks and what it could do without. Changes nothing.

    Raises ``NotSupported``, asyncpg's errors.
    """
    facts, found, alarms = await _look(connection, policy, memory)
    meter = Meter(connection, timeout_ms=policy.statement_timeout_ms)
    proposals = await propose(found, policy, _hypothetical(connection, meter, facts))
    return Report(
        facts.database,
        found.measured(),
        proposals,
        _burdens(found.catalog, found, facts, policy),
        found.warnings(),
        alarms,
        (),
        "complete",
    )


async def act(connection: Connection, policy: Policy, memory: Memory) -> Report:
    """Look, drop what serves nobody, and try what the workload lacks. Each step is in the journal.

    Raises ``NotSupported``, ``Busy``, ``NotOwner``, asyncpg's errors. Cut short at any step it leaves at most an
    index that the next round finds: an invalid one, or one that serves nobody.
    """
    facts, found, alarms = await _look(connection, policy, memory)
    journal = Journal(connection)
    builder = Builder(connection, lock_timeout_ms=policy.lock_timeout_ms, build_timeout_s=policy.build_timeout_s)
    await builder.open()
    try:
        memory.epoch = await journal.open(memory.epoch)
        meter = Meter(connection, timeout_ms=policy.statement_timeout_ms)
        removals = Removals(found, meter, builder, journal, policy)
        actions = await _remove(leftovers(found.catalog, await journal.kept()), removals)
        actions += await _take_back(memory.writes, removals)
        actions += await _remove(_burdens(found.catalog, found, facts, policy), removals)
        probe = WriteProbe(connection)
        trials = Trials(found, meter, builder, probe, journal, policy, await probe.commit_ms())
        tried, ended = await _try(trials, memory.writes, _hypothetical(connection, meter, facts))
        actions += tried
        # An index that was kept may have made an earlier one superfluous.
        catalog = await read_catalog(connection, facts.search_path)
        left = _burdens(catalog, found, facts, policy)
        actions += await _remove([each for each in left if each.fault in _UNOBSERVED], removals)
    finally:
        await builder.close()
    remaining = _burdens(await read_catalog(connection, facts.search_path), found, facts, policy)
    return Report(facts.database, found.measured(), (), remaining, found.warnings(), alarms, actions, ended)


async def _look(connection: Connection, policy: Policy, memory: Memory) -> tuple[Facts, Survey, Sequence[PlanAlarm]]:
    facts = await read_facts(connection)
    await memory.examples.watch(connection, policy.watch_s)
    now = await read_statements(connection, facts)
    statements = since(memory.statements, now)
    memory.statements = {each.query_id: each for each in now}
    found = await survey(connection, facts, statements, memory.examples, policy, memory.rng)
    return facts, found, _alarms(found, memory)


def _hypothetical(connection: Connection, meter: Meter, facts: Facts) -> Hypothetical | None:
    schema = facts.hypopg_schema
    return None if schema is None else Hypothetical(connection, meter, schema)


def _alarms(found: Survey, memory: Memory) -> list[PlanAlarm]:
    alarms: list[PlanAlarm] = []
    for subject in found.subjects:
        plan = found.measures[subject.query_id].plan
        alarm = memory.plans.see(subject.query_id, plan.fingerprint, subject.statement.mean_ms)
        if alarm is not None:
            alarms.append(alarm)
    return alarms


def _burdens(catalog: Catalog, found: Survey, facts: Facts, policy: Policy) -> list[Burden]:
    return burdens(catalog, used=found.used, observed_s=facts.observed_s, observe_min_s=policy.observe_min_s)


async def _remove(found: Sequence[Burden], removals: Removals) -> list[Entry]:
    refused = await removals.journal.refused(removals.policy.retry_days)
    done: list[Entry] = []
    for burden in found:
        if removals.may_drop(burden) and (burden.fault is Fault.INVALID or burden.index.name not in refused):
            done += await removals.remove(burden)
    return done


async def _take_back(watch: WriteWatch, removals: Removals) -> list[Entry]:
    """Drop the indexes of the round before that made writes slower than they may."""
    slowed = watch.slowed(removals.found.writes, removals.policy.bounds.write_loss_max)
    return [entry for spec, why in slowed if (entry := await removals.take_back(spec, why)) is not None]


async def _try(trials: Trials, watch: WriteWatch, hypothetical: Hypothetical | None) -> tuple[list[Entry], str]:
    """Try what the statements lack, the costliest first, and return why it ended.

    Where the server has HypoPG, only what the planner would use is built.
    """
    found, policy = trials.found, trials.policy
    begun = time.monotonic()
    refused = await trials.journal.refused(policy.retry_days)
    tried: set[str] = set()
    done: list[Entry] = []
    space = _Space(found, policy)
    for subject in list(worth_a_look(found, policy)):
        tries = 0
        for spec in specs_for(subject, found):
            if tries == policy.tries_per_statement or subject not in worth_a_look(found, policy):
                break
            if spec.name in refused or spec.name in tried or not space.has_room(expected_bytes(spec, found)):
                continue
            if len(done) == policy.trials_max:
                return done, f"{policy.trials_max} trials in one round"
            if time.monotonic() - begun > policy.time_max_s:
                return done, f"{policy.time_max_s:g} s in one round"
            tried.add(spec.name)
            if hypothetical is not None and not await hypothetical.would_help(subject, spec, policy.bounds.gain_min):
                continue
            tries += 1
            entry = await trials.attempt(spec, subject)
            done.append(entry)
            if entry.action == Action.CREATED.value:
                space.take(expected_bytes(spec, found))
                watch.note(spec, found.writes)
    return done, "complete"


class _Space:
    """What the optimizer's own indexes may take together."""

    def __init__(self, found: Survey, policy: Policy) -> None:
        tables = found.catalog.tables.values()
        bound = max(policy.space_min_bytes, int(policy.space_share * sum(table.size_bytes for table in tables)))
        taken = sum(index.size_bytes for index in found.catalog.indexes() if index.is_ours)
        self._left = bound - taken

    def has_room(self, size_bytes: int) -> bool:
        return size_bytes <= self._left

    def take(self, size_bytes: int) -> None:
        self._left -= size_bytes


async def undo(connection: Connection, policy: Policy, entry_id: int) -> Entry:
    """Undo an entry of the journal and return the entry that says so.

    Raises ``LookupError`` where there is nothing to undo, ``Busy``, ``NotBuilt``, asyncpg's errors.
    """
    journal = Journal(connection)
    entry = await journal.find(entry_id) if await journal.exists() else None
    if entry is None:
        raise LookupError(f"the journal has no entry {entry_id}")
    if entry.undo is None or entry.undone_at is not None:
        raise LookupError(f"entry {entry_id} ({entry.action}) was undone already or cannot be")
    builder = Builder(connection, lock_timeout_ms=policy.lock_timeout_ms, build_timeout_s=policy.build_timeout_s)
    await builder.open()
    try:
        await journal.open()
        schema, _, name = entry.table_name.partition(".")
        if entry.action == Action.CREATED.value:
            await builder.drop(TableName(schema, name), entry.index_name)
        else:
            await builder.run(entry.undo, schema, entry.index_name)
        done = await journal.record(
            Action.UNDONE,
            table=entry.table_name,
            index=entry.index_name,
            why=f"entry {entry_id} was undone by hand",
            statement=entry.undo,
        )
        await journal.mark_undone(entry_id, done.id)
        return done
    finally:
        await builder.close()
