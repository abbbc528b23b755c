"""Decides what is worth doing. Pure: the same figures, history and policy give the same steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from actors.maintenance.figures import Figures, IndexFigures, PartitionFigures, ServerFigures, TableFigures
from actors.maintenance.past import History, Past, number
from actors.maintenance.policy import PartitionSet, Policy
from actors.maintenance.step import Action, Step, Urgency, quoted

LEFTOVER = re.compile(r"_cc(new|old)[0-9]*$")
"""What REINDEX CONCURRENTLY names its indexes until it has ended. Source: PostgreSQL manual, REINDEX."""
ANALYZE_BYTES_MAX = 300 * 100 * 8192
"""ANALYZE reads 300 rows for each unit of the statistics target, each perhaps on a page of its own."""
_USELESS_REST = 4.0
_ONLY_SINCE = 180_000


def decide(figures: Figures, history: History, policy: Policy) -> list[Step]:
    """Return what is worth doing, the most urgent first and of those the cheapest. Whether it is done now is another
    question (`admit`).
    """
    steps = [
        *_leftovers(figures.indexes, history, figures.now, policy),
        *_partitions(figures, history, policy),
        *(
            step
            for table in figures.tables
            if _is_ours(table, policy)
            for step in _table(table, figures, history, policy)
        ),
        *_bloated(figures.indexes, history, figures.now, policy),
    ]
    order = list(Action)
    return sorted(steps, key=lambda step: (-step.urgency, order.index(step.action), step.cost_bytes, step.target))


def admit(steps: Sequence[Step], policy: Policy, *, is_busy: bool, by_hand: bool = False) -> list[Step]:
    """Return those that may be done now, within the bounds of a run. By hand nothing waits for a quiet hour, nor is
    anything too large.
    """
    admitted: list[Step] = []
    left = policy.run_bytes_max
    for step in steps:
        is_urgent = step.urgency is Urgency.URGENT
        if not by_hand and not is_urgent:
            if is_busy and step.urgency is Urgency.IDLE:
                continue
            if step.cost_bytes > min(policy.step_bytes_max, left):
                continue
        left -= step.cost_bytes
        admitted.append(step)
    return admitted[: policy.run_steps_max]


def _is_ours(table: TableFigures, policy: Policy) -> bool:
    return not table.is_in_work and table.name not in policy.skipped


def _table(table: TableFigures, figures: Figures, history: History, policy: Policy) -> Iterator[Step]:
    if table.is_parent:
        yield from _parent(table, figures, history, policy)
        return
    yield from _vacuum(table, figures.server, history, figures.now, policy)
    yield from _analyze(table, history, figures.now, policy)


def _vacuum(
    table: TableFigures, server: ServerFigures, history: History, now: datetime, policy: Policy
) -> Iterator[Step]:
    past = history.get((Action.VACUUM, table.name))
    urgency, reason, options = _freeze(table, server, policy) or _clean(table, past, policy) or (None, "", "")
    if urgency is None:
        return
    if urgency is not Urgency.URGENT and _rests(past, now, _vacuum_rest_s(past, policy)):
        return
    freezes = "FREEZE" in options
    heap_bytes = table.heap_bytes if freezes else table.unfrozen_bytes
    index_bytes = table.index_bytes if freezes or table.dead else 0
    # Cutting empty pages off at the end takes a lock that keeps everybody out, also on replicas.
    statement = f"VACUUM ({options}TRUNCATE FALSE) {quoted(table.name)}"
    before = {
        "rows": table.rows,
        "dead": table.dead,
        "inserted": table.inserted,
        "xid_age": table.xid_age,
        "multixact_age": table.multixact_age,
        "heap_bytes": table.heap_bytes,
    }
    yield Step(Action.VACUUM, table.name, urgency, reason, statement, heap_bytes + index_bytes, before)


def _freeze(table: TableFigures, server: ServerFigures, policy: Policy) -> tuple[Urgency, str, str] | None:
    """Tell whether the age of a table's oldest row demands a vacuum."""
    failsafe = policy.failsafe_share * server.failsafe_age
    if max(table.xid_age, table.multixact_age) >= failsafe:
        # What matters is that it ends; its indexes can be cleaned another time.
        return Urgency.URGENT, f"ids are {max(table.xid_age, table.multixact_age)} old", "FREEZE, INDEX_CLEANUP OFF, "
    share = max(table.xid_age / server.freeze_age_max, table.multixact_age / server.multixact_freeze_age_max)
    if share >= policy.freeze_quiet_share:
        urgency = Urgency.DUE if share >= policy.freeze_busy_share else Urgency.IDLE
        return urgency, f"ids are at {share:.0%} of the age at which autovacuum freezes whatever the load", "FREEZE, "
    return None


def _clean(table: TableFigures, past: Past | None, policy: Policy) -> tuple[Urgency, str, str] | None:
    """Tell whether dead rows, or new ones that no vacuum has seen, are enough for a vacuum."""
    rows = max(table.rows, 0.0)
    dead_share = table.dead / max(1.0, table.vacuum.of(rows))
    new_share = table.inserted / max(1.0, table.insert_vacuum.of(rows))
    dead = table.dead if dead_share >= policy.quiet_share else 0
    new = table.inserted if new_share >= policy.quiet_share else 0
    if max(dead, new) < policy.rows_min:
        return None
    urgency = Urgency.DUE if max(dead_share, new_share) >= policy.busy_share else Urgency.IDLE
    if dead < policy.rows_min:
        return urgency, f"{table.inserted} new rows since the last vacuum", ""
    # Without it, the server leaves indexes as they are where few pages have dead rows, and these come back.
    was_left = past is not None and past.was_done and number(past.after, "dead") >= policy.rows_min
    return urgency, f"{table.dead} dead rows of {rows:.0f}", "INDEX_CLEANUP ON, " if was_left else ""


def _vacuum_rest_s(past: Past | None, policy: Policy) -> float:
    if past is None:
        return 0.0
    was_useless = number(past.before, "dead") > 0 and number(past.after, "dead") >= 0.5 * number(past.before, "dead")
    return policy.rest_s * (_USELESS_REST if was_useless else 1.0)


def _analyze(table: TableFigures, history: History, now: datetime, policy: Policy) -> Iterator[Step]:
    rows = max(table.rows, 0.0)
    share = table.modified / max(1.0, table.analyze.of(rows))
    if table.analyzed_at is None and max(table.modified, table.rows) >= policy.rows_min:
        urgency, reason = Urgency.DUE, "it never was analyzed"
    elif share >= policy.quiet_share and table.modified >= policy.rows_min:
        urgency = Urgency.DUE if share >= policy.busy_share else Urgency.IDLE
        reason = f"{table.modified} changes since the statistics of {rows:.0f} rows"
    else:
        return
    if _rests(history.get((Action.ANALYZE, table.name)), now, policy.rest_s):
        return
    yield _analyze_step(table, urgency, reason, f"ANALYZE {quoted(table.name)}", table.heap_bytes)


def _parent(table: TableFigures, figures: Figures, history: History, policy: Policy) -> Iterator[Step]:
    """Autovacuum never analyzes the parent of partitions, whose statistics plans over several of them need."""
    now, past = figures.now, history.get((Action.ANALYZE, table.name))
    change = abs(table.partition_rows - max(table.rows, 0.0))
    if max(table.partition_rows, change) < policy.rows_min:
        return
    is_old = table.analyzed_at is None or now - table.analyzed_at > timedelta(seconds=policy.parent_rest_s)
    if not is_old and change < table.analyze.of(max(table.rows, 0.0)):
        return
    if _rests(past, now, policy.rest_s):
        return
    # From 18 on the partitions, which autovacuum does see to, can be left out.
    only = "ONLY " if figures.server.version >= _ONLY_SINCE else ""
    reason = f"its partitions have {table.partition_rows:.0f} rows, its statistics {max(table.rows, 0.0):.0f}"
    yield _analyze_step(table, Urgency.IDLE, reason, f"ANALYZE {only}{quoted(table.name)}", table.heap_bytes)


def _analyze_step(table: TableFigures, urgency: Urgency, reason: str, statement: str, heap_bytes: int) -> Step:
    before = {"rows": table.rows, "modified": table.modified}
    return Step(Action.ANALYZE, table.name, urgency, reason, statement, min(heap_bytes, ANALYZE_BYTES_MAX), before)


def _bloated(indexes: Sequence[IndexFigures], history: History, now: datetime, policy: Policy) -> Iterator[Step]:
    for index in indexes:
        is_candidate = index.is_valid and not index.is_in_work and index.bytes >= policy.index_bytes_min
        if not is_candidate or index.bloat < policy.bloat_min or index.table in policy.skipped:
            continue
        past = history.get((Action.REINDEX, index.name))
        if _rests(past, now, policy.reindex_rest_s):
            continue
        # The estimate is too high for some indexes, and as high right after they were built.
        if past is not None and past.was_done and index.bloat < number(past.after, "bloat") + policy.bloat_growth:
            continue
        yield Step(
            Action.REINDEX,
            index.name,
            Urgency.IDLE,
            f"{index.bloat:.0%} of its {index.bytes} bytes would be gone",
            f"REINDEX INDEX CONCURRENTLY {quoted(index.name)}",
            index.table_bytes + 2 * index.bytes,
            {"bytes": index.bytes, "expected_bytes": index.expected_bytes, "bloat": round(index.bloat, 3)},
        )


def _leftovers(indexes: Sequence[IndexFigures], history: History, now: datetime, policy: Policy) -> Iterator[Step]:
    for index in indexes:
        if index.is_valid or index.is_in_work or not LEFTOVER.search(index.name):
            continue
        if _rests(history.get((Action.DROP_LEFTOVER, index.name)), now, policy.rest_s):
            continue
        yield Step(
            Action.DROP_LEFTOVER,
            index.name,
            Urgency.DUE,
            "a rebuild that was cut short has left it; every write keeps it up to date and no read uses it",
            f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(index.name)}",
            0,
            {"bytes": index.bytes},
        )


def _partitions(figures: Figures, history: History, policy: Policy) -> Iterator[Step]:
    found = {each.name: each for each in figures.partitions}
    for kept in policy.partitions:
        yield from _days(kept, found[kept.name], history, figures.now, policy)


def _days(
    kept: PartitionSet, found: PartitionFigures, history: History, now: datetime, policy: Policy
) -> Iterator[Step]:
    today = now.date()
    is_short = found.newest is None or found.newest < today + timedelta(days=kept.ahead_days)
    if is_short and not _failed_lately(history.get((Action.MAKE_PARTITIONS, kept.name)), now, policy.rest_s):
        reason = f"the last day that there is one for is {found.newest}"
        yield Step(Action.MAKE_PARTITIONS, kept.name, Urgency.DUE, reason, kept.make)
    is_over = found.oldest is not None and found.oldest < today - timedelta(days=kept.retention_days)
    if is_over and not _failed_lately(history.get((Action.DROP_PARTITION, kept.name)), now, policy.rest_s):
        reason = f"{found.oldest} is older than {kept.retention_days} days"
        yield Step(Action.DROP_PARTITION, kept.name, Urgency.DUE, reason, kept.drop)


def _rests(past: Past | None, now: datetime, rest_s: float) -> bool:
    return past is not None and now - past.at < timedelta(seconds=rest_s)


def _failed_lately(past: Past | None, now: datetime, rest_s: float) -> bool:
    return past is not None and not past.was_done and _rests(past, now, rest_s)
