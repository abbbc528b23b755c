"""Which replica answers."""

from __future__ import annotations

import pytest

from actors.pool.replicas.mark import Mark
from actors.pool.replicas.router import Choice, Exclusion, Observation, ReplicaRouter, RouterPolicy
from actors.pool.servers.timeline import Standing

POLICY = RouterPolicy(lag_max_s=4.0, fit_min_s=1.0, fit_max_s=8.0, unseen_max_s=3.0)
AWAY = Observation(None, None)


def at(lsn: int, lag_s: float = 0.0, timeline: int = 1, *, in_recovery: bool = True) -> Observation:
    """Return an observation of a server."""
    return Observation(Standing(7, in_recovery, timeline, lsn), lag_s)


def router(*names: str) -> ReplicaRouter:
    """Return a router that has seen all replicas well, at position 100, at second 0."""
    made = ReplicaRouter(names, POLICY)
    for name in names:
        made.observe(name, at(100), 1, 0.0)
    return made


def chosen(made: ReplicaRouter, mark: Mark | None = None, now: float = 0.0) -> str | None:
    """Return the name that is chosen; the choice is not ended."""
    choice = made.choose(mark, now)
    return choice.name if choice else None


def test_none_is_chosen_before_it_was_seen() -> None:
    """The primary answers."""
    assert ReplicaRouter(["a"], POLICY).choose(None, 0.0) is None


def test_reads_are_spread_by_load_and_in_turn() -> None:
    """The least busy one is next; of equals the one that waited longest."""
    made = router("a", "b")
    assert [chosen(made) for _ in range(4)] == ["a", "b", "a", "b"]
    made.end("b", well=True)
    made.end("b", well=True)
    assert [chosen(made) for _ in range(3)] == ["b", "b", "a"]


def test_a_mark_is_asked_of_who_has_replayed_it() -> None:
    """Even if that one is busier; of those who have not, of the nearest, and then the choice says so."""
    made = router("a", "b")
    made.observe("b", at(200), 1, 0.0)
    assert [chosen(made, Mark(1, 150)) for _ in range(3)] == ["b", "b", "b"]
    assert made.choose(Mark(1, 250), 0.0) == Choice("b", ready=False, seen_at=0.0)


def test_a_lower_timeline_never_has_a_mark_of_a_higher_one() -> None:
    """However far it has replayed: it may have left the history before."""
    made = router("a")
    made.observe("a", at(10_000), 1, 0.0)
    assert made.choose(Mark(2, 100), 0.0) is None
    made.observe("a", at(100, timeline=2), 2, 0.0)
    assert made.choose(Mark(1, 100), 0.0) == Choice("a", ready=True, seen_at=0.0)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (AWAY, Exclusion.AWAY),
        (at(100, lag_s=4.1, timeline=2), Exclusion.LAGGING),
        (at(100, timeline=1), Exclusion.OTHER_TIMELINE),
        (at(100, timeline=2, in_recovery=False), Exclusion.PRIMARY),
        (Observation(Standing(7, True, 2, 100), None), Exclusion.LAGGING),
    ],
)
def test_who_may_not_answer_is_left_out(seen: Observation, why: Exclusion) -> None:
    """At once, and it is said why."""
    made = router("a")
    made.observe("a", seen, 2, 1.0)
    assert made.exclusion("a", 1.0) is why
    assert made.choose(None, 1.0) is None


def test_what_was_not_seen_for_long_is_left_out() -> None:
    """The monitor may be away: then nobody knows. It is back with the next look."""
    made = router("a")
    assert chosen(made, now=3.0) == "a"
    assert made.exclusion("a", 3.1) is Exclusion.UNSEEN
    made.observe("a", at(100), 1, 9.0)
    assert chosen(made, now=9.0) == "a"


def test_one_that_lagged_comes_back_well_below_the_bound_and_after_a_while() -> None:
    """So that one at the bound does not go in and out."""
    made = router("a")
    made.observe("a", at(100, lag_s=5.0), 1, 0.0)
    for second in range(1, 4):
        made.observe("a", at(100, lag_s=3.0), 1, float(second))
        assert made.exclusion("a", float(second)) is Exclusion.LAGGING
    made.observe("a", at(100, lag_s=1.9), 1, 4.0)
    assert made.exclusion("a", 4.0) is Exclusion.LAGGING
    made.observe("a", at(100, lag_s=1.9), 1, 5.0)
    assert made.exclusion("a", 5.0) is None


def test_each_failure_in_a_row_doubles_the_while() -> None:
    """A read that succeeds makes the next one count as the first."""
    made, now, whiles = router("a"), 0.0, []
    for _ in range(5):
        made.failed("a")
        failed_at = now
        while made.exclusion("a", now) is not None:
            now += 0.25
            made.observe("a", at(100), 1, now)
        whiles.append(now - failed_at - 0.25)
    assert whiles == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert chosen(made, now=now) == "a"
    made.end("a", well=True)
    made.failed("a")
    made.observe("a", at(100), 1, now)
    made.observe("a", at(100), 1, now + 1.0)
    assert made.exclusion("a", now + 1.0) is None
