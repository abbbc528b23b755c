"""What is worth doing follows from the figures, what was done before, and the policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from actors.maintenance.decide import admit, decide
from actors.maintenance.figures import PartitionFigures, Trigger
from actors.maintenance.past import History
from actors.maintenance.policy import PartitionSet, Policy
from actors.maintenance.step import Action, Step, Urgency
from tests.unit.maintenance.makers import MIB, NOW, SERVER, figures, index, past, table

_POLICY = Policy()
_TABLE = "public.payments"
_INDEX = "public.payments_pkey"


def _steps(*tables: Any, history: History | None = None, **rest: Any) -> list[Step]:
    return decide(figures(tables, **rest), history or {}, _POLICY)


def _one(*tables: Any, history: History | None = None, **rest: Any) -> Step:
    steps = _steps(*tables, history=history, **rest)
    assert len(steps) == 1, steps
    return steps[0]


def test_a_database_that_is_well_is_left_alone() -> None:
    """Also one that is empty, and tables too small for anybody to care."""
    assert _steps() == []
    assert _steps(table(), table("public.tiny", rows=-1.0, dead=900, inserted=900, modified=900)) == []
    assert _steps(table(), indexes=[index(bytes=130 * MIB)]) == []


def test_dead_rows_are_vacuumed_before_autovacuum_does_in_quiet_and_after_it_should_have_else() -> None:
    """Half of what autovacuum waits for is worth a quiet hour; twice as much means that it does not keep up."""
    assert _steps(table(dead=100_000)) == []
    early = _one(table(dead=100_100))
    assert (early.action, early.urgency) == (Action.VACUUM, Urgency.IDLE)
    assert early.statement == 'VACUUM (TRUNCATE FALSE) "public"."payments"'
    assert early.cost_bytes == 110 * MIB
    assert _one(table(dead=400_100)).urgency is Urgency.DUE


def test_a_table_s_own_settings_of_autovacuum_hold() -> None:
    """They say what its owner wants."""
    assert _one(table(dead=10_000, vacuum=Trigger(50, 0.01))).action is Action.VACUUM


def test_rows_that_no_vacuum_has_seen_are_vacuumed_without_the_indexes() -> None:
    """An append-only table has no dead rows, and its pages still have to become visible to all."""
    step = _one(table(inserted=500_000))
    assert (step.action, step.cost_bytes) == (Action.VACUUM, 10 * MIB)
    assert "new rows" in step.reason


def test_a_vacuum_rests_and_longer_where_it_did_no_good() -> None:
    """While somebody holds the horizon, a vacuum every quarter of an hour would read the table for nothing."""
    dead = table(dead=300_000)
    key = (Action.VACUUM, _TABLE)
    useful: dict[str, Any] = {"before": {"dead": 300_000}, "after": {"dead": 0}}
    useless: dict[str, Any] = {"before": {"dead": 300_000}, "after": {"dead": 299_000}}
    assert _steps(dead, history={key: past(899, **useful)}) == []
    assert _one(dead, history={key: past(901, **useful)}).action is Action.VACUUM
    assert _steps(dead, history={key: past(3599, **useless)}) == []
    again = _one(dead, history={key: past(3601, **useless)})
    assert again.statement == 'VACUUM (INDEX_CLEANUP ON, TRUNCATE FALSE) "public"."payments"'


def test_a_table_that_somebody_sees_to_is_left_to_him() -> None:
    """Autovacuum, for one; so is what the policy skips."""
    assert _steps(table(dead=900_000, is_in_work=True)) == []
    assert decide(figures([table(dead=900_000)]), {}, replace(_POLICY, skipped=frozenset({_TABLE}))) == []


@pytest.mark.parametrize(
    ("ages", "urgency", "options"),
    [
        ({"xid_age": 99_999_999}, None, ""),
        ({"xid_age": 100_000_000}, Urgency.IDLE, "FREEZE"),
        ({"xid_age": 180_000_000}, Urgency.DUE, "FREEZE"),
        ({"multixact_age": 200_000_000}, Urgency.IDLE, "FREEZE"),
        ({"xid_age": 1_200_000_000}, Urgency.URGENT, "FREEZE, INDEX_CLEANUP OFF"),
        ({"multixact_age": 1_300_000_000}, Urgency.URGENT, "FREEZE, INDEX_CLEANUP OFF"),
    ],
)
def test_age_demands_a_freeze(ages: dict[str, Any], urgency: Urgency | None, options: str) -> None:
    """In a quiet hour before autovacuum does it in the rush; at full speed where writes are about to end."""
    found = _steps(table(**ages))
    assert [step.urgency for step in found] == ([] if urgency is None else [urgency])
    for step in found:
        assert step.statement == f'VACUUM ({options}, TRUNCATE FALSE) "public"."payments"'
        assert step.cost_bytes == 500 * MIB


def test_an_urgent_freeze_does_not_rest() -> None:
    """The last one may have been cut short."""
    history = {(Action.VACUUM, _TABLE): past(1)}
    assert _one(table(xid_age=1_300_000_000), history=history).urgency is Urgency.URGENT
    assert _steps(table(xid_age=150_000_000), history=history) == []


def test_statistics_are_made_anew_when_a_share_of_the_rows_has_changed_or_there_are_none() -> None:
    """Without any the planner guesses: that does not wait for a quiet hour."""
    assert _steps(table(modified=50_000)) == []
    step = _one(table(modified=50_100))
    assert (step.action, step.urgency, step.statement) == (
        Action.ANALYZE, Urgency.IDLE, 'ANALYZE "public"."payments"'
    )  # fmt: skip
    assert _one(table(modified=200_200)).urgency is Urgency.DUE
    never = _one(table(rows=-1.0, modified=5000, analyzed_at=None))
    assert (never.urgency, never.reason) == (Urgency.DUE, "it never was analyzed")
    assert _steps(table(modified=900_000), history={(Action.ANALYZE, _TABLE): past(60)}) == []


def test_the_parent_of_partitions_is_analyzed_for_autovacuum_never_does() -> None:
    """When its partitions have other rows than its statistics say, and once a day; without the partitions where the
    server can."""
    parent = table("public.tasks", is_parent=True, rows=1000.0, partition_rows=50_000.0, heap_bytes=0)
    assert _one(parent).statement == 'ANALYZE ONLY "public"."tasks"'
    older = replace(SERVER, version=170_004)
    assert _one(parent, server=older).statement == 'ANALYZE "public"."tasks"'
    same = replace(parent, rows=50_000.0)
    assert _steps(same) == []
    assert _one(replace(same, analyzed_at=NOW - timedelta(days=2))).action is Action.ANALYZE
    assert _steps(replace(same, analyzed_at=None, rows=0.0, partition_rows=10.0)) == []


def test_a_bloated_index_is_built_anew() -> None:
    """One that is small, invalid, being built or of an unknown size is not."""
    bloated = index(bytes=100 * MIB, expected_bytes=40 * MIB)
    step = _one(indexes=[bloated])
    assert (step.action, step.urgency) == (Action.REINDEX, Urgency.IDLE)
    assert step.statement == 'REINDEX INDEX CONCURRENTLY "public"."payments_pkey"'
    assert step.cost_bytes == 600 * MIB
    for other in (
        replace(bloated, bytes=4 * MIB, expected_bytes=MIB),
        replace(bloated, is_valid=False),
        replace(bloated, is_in_work=True),
        replace(bloated, expected_bytes=None),
    ):
        assert _steps(indexes=[other]) == []


def test_an_index_is_rebuilt_again_only_when_it_is_worse_than_after_the_last_time() -> None:
    """An estimate that is too high would have it rebuilt every day for ever."""
    bloated, key = index(bytes=100 * MIB, expected_bytes=45 * MIB), (Action.REINDEX, _INDEX)
    two_days = 2 * 86_400.0
    assert _steps(indexes=[bloated], history={key: past(3600, after={"bloat": 0.0})}) == []
    assert _one(indexes=[bloated], history={key: past(two_days, after={"bloat": 0.1})}).action is Action.REINDEX
    assert _steps(indexes=[bloated], history={key: past(two_days, after={"bloat": 0.5})}) == []
    # Where it failed, nothing is known of an index built anew.
    failed = past(two_days, was_done=False, after={"bloat": 0.55})
    assert _one(indexes=[bloated], history={key: failed}).action is Action.REINDEX


@pytest.mark.parametrize("name", ["public.payments_pkey_ccnew", "public.payments_pkey_ccold", "public.a_ccnew12"])
def test_what_a_rebuild_left_behind_is_dropped(name: str) -> None:
    """Other invalid indexes are somebody's work: they are not touched, nor is one that is being built."""
    left = index(name, is_valid=False)
    step = _one(indexes=[left])
    assert (step.action, step.urgency) == (Action.DROP_LEFTOVER, Urgency.DUE)
    assert step.statement.startswith("DROP INDEX CONCURRENTLY IF EXISTS")
    assert _steps(indexes=[replace(left, is_in_work=True)]) == []
    assert _steps(indexes=[replace(left, is_valid=True)]) == []
    assert _steps(indexes=[index("public.payments_by_hand", is_valid=False)]) == []
    assert _steps(indexes=[index("public.my_ccnewest", is_valid=False)]) == []


def _days(newest: date | None, oldest: date | None, history: History | None = None) -> list[Action]:
    kept = PartitionSet("tasks", ("tasks",), "SELECT make($1)", "SELECT drop($1)", retention_days=7, ahead_days=3)
    found = PartitionFigures("tasks", newest, oldest)
    steps = decide(figures(partitions=[found]), history or {}, replace(_POLICY, partitions=(kept,)))
    return [step.action for step in steps]


def test_partitions_are_made_ahead_and_dropped_when_they_are_over() -> None:
    """Three days ahead, and none that is older than the retention; what failed is tried again after a rest."""
    today = NOW.date()
    ahead, within = today + timedelta(days=3), today - timedelta(days=7)
    assert _days(ahead, within) == []
    assert _days(ahead - timedelta(days=1), within) == [Action.MAKE_PARTITIONS]
    assert _days(None, None) == [Action.MAKE_PARTITIONS]
    old = within - timedelta(days=1)
    assert _days(ahead, old) == [Action.DROP_PARTITION]
    assert _days(ahead, old, {(Action.DROP_PARTITION, "tasks"): past(60, was_done=False)}) == []
    assert _days(ahead, old, {(Action.DROP_PARTITION, "tasks"): past(60)}) == [Action.DROP_PARTITION]


def test_the_most_urgent_comes_first_then_what_costs_little() -> None:
    """A leftover, then vacuums, statistics and rebuilds of one urgency."""
    steps = _steps(
        table("public.a", dead=200_000),
        table("public.b", dead=200_000, unfrozen_bytes=MIB),
        table("public.c", xid_age=1_300_000_000),
        table("public.d", modified=60_000),
        table("public.e", dead=500_000),
        indexes=[index(expected_bytes=MIB), index("public.x_ccnew", is_valid=False)],
    )
    assert [(step.action, step.target) for step in steps] == [
        (Action.VACUUM, "public.c"),
        (Action.DROP_LEFTOVER, "public.x_ccnew"),
        (Action.VACUUM, "public.e"),
        (Action.VACUUM, "public.b"),
        (Action.VACUUM, "public.a"),
        (Action.ANALYZE, "public.d"),
        (Action.REINDEX, _INDEX),
    ]


def test_while_the_database_is_busy_only_what_is_due_is_done() -> None:
    """By hand everything is."""
    idle, due, urgent = (
        Step(Action.VACUUM, urgency.name, urgency, "", "") for urgency in (Urgency.IDLE, Urgency.DUE, Urgency.URGENT)
    )
    steps = [urgent, due, idle]
    assert admit(steps, _POLICY, is_busy=False) == steps
    assert admit(steps, _POLICY, is_busy=True) == [urgent, due]
    assert admit(steps, _POLICY, is_busy=True, by_hand=True) == steps


def test_a_run_is_bounded_in_steps_and_in_bytes() -> None:
    """What is too large for the schedule is left to a person, unless it is urgent."""
    gib = 1024 * MIB
    steps = [Step(Action.VACUUM, str(size), Urgency.DUE, "", "", size * gib) for size in (7, 8, 9, 2, 1)]
    assert [step.target for step in admit(steps, _POLICY, is_busy=False)] == ["7", "8", "1"]
    assert [step.target for step in admit(steps, _POLICY, is_busy=False, by_hand=True)] == ["7", "8", "9", "2", "1"]
    urgent = [replace(step, urgency=Urgency.URGENT) for step in steps]
    assert admit(urgent, _POLICY, is_busy=True) == urgent
    many = [Step(Action.ANALYZE, str(number), Urgency.DUE, "", "") for number in range(50)]
    assert len(admit(many, _POLICY, is_busy=False)) == _POLICY.run_steps_max


def test_names_are_quoted() -> None:
    """A table may be called whatever it likes."""
    step = _one(table('public.od"d; DROP', dead=300_000))
    assert step.statement.endswith('"public"."od""d; DROP"')
