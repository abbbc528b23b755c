"""What is started, restarted, stopped and given up, told step by step with a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.process_supervision import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    STABLE_S,
    ChildPlan,
    GiveUp,
    Kill,
    Kind,
    Phase,
    Start,
    Supervision,
    Terminate,
)

DATABASE = ChildPlan("database", start_s=30.0, stop_s=5.0)
RAY = ChildPlan("ray", start_s=30.0, stop_s=5.0)
SET_UP = ChildPlan("set-up", kind=Kind.TASK, needs=frozenset({"database", "ray"}), repeats_after=frozenset({"ray"}))


def started(*plans: ChildPlan, now: float = 0.0) -> Supervision:
    """Return a supervision whose children have all come up once."""
    supervision = Supervision(plans or (DATABASE, RAY, SET_UP))
    while not supervision.all_ready:
        for action in supervision.decide(now):
            assert isinstance(action, Start)
            if supervision.children[action.name].plan.kind is Kind.TASK:
                supervision.on_exit(action.name, 0, "", now)
            else:
                supervision.on_ready(action.name, now)
    return supervision


def test_starts_what_needs_nothing_at_once_and_the_rest_when_its_needs_are_ready() -> None:
    """Children without needs start together; one with needs waits for the last of them."""
    supervision = Supervision([DATABASE, RAY, SET_UP])
    assert set(supervision.decide(0.0)) == {Start("database"), Start("ray")}
    supervision.on_ready("database", 1.0)
    assert supervision.decide(1.0) == []
    supervision.on_ready("ray", 2.0)
    assert (supervision.decide(2.0), supervision.all_ready) == ([Start("set-up")], False)
    supervision.on_exit("set-up", 0, "", 3.0)
    assert supervision.all_ready
    assert supervision.decide(3.0) == []


EAGER = replace(SET_UP, awaits=frozenset({"ray"}))


def test_a_task_is_started_beside_what_it_awaits_and_goes_on_when_that_serves() -> None:
    """What it needs and does not await serves before; the end counts for the server as it is then."""
    supervision = Supervision([DATABASE, RAY, EAGER])
    assert set(supervision.decide(0.0)) == {Start("database"), Start("ray")}
    supervision.on_ready("database", 1.0)
    assert supervision.decide(1.0) == [Start("set-up")]
    assert not supervision.may_go_on("set-up")
    supervision.on_ready("ray", 2.0)
    assert supervision.may_go_on("set-up")
    assert supervision.decide(2.0) == []
    supervision.on_exit("set-up", 0, "", 3.0)
    assert supervision.all_ready


def test_a_task_is_stopped_when_what_it_awaits_dies_and_started_beside_the_next() -> None:
    """Whether it waited still or worked already."""
    supervision = started(DATABASE, RAY, EAGER)
    supervision.on_exit("ray", -9, "was ended by SIGKILL", 100.0)
    now = 100.0 + BACKOFF_FIRST_S
    assert supervision.decide(100.0) == []
    assert supervision.decide(now) == [Start("ray"), Start("set-up")]
    supervision.on_exit("ray", -9, "was ended by SIGKILL", now + 1)
    assert supervision.decide(now + 1) == [Terminate("set-up")]


def test_a_task_that_did_not_wait_is_run_again() -> None:
    """It ended before the server was there, so it has done nothing on it."""
    supervision = Supervision([DATABASE, RAY, EAGER])
    supervision.decide(0.0)
    supervision.on_ready("database", 1.0)
    supervision.decide(1.0)
    supervision.on_exit("set-up", 0, "", 1.5)
    supervision.on_ready("ray", 2.0)
    assert supervision.decide(2.0) == [Start("set-up")]


def test_a_failure_before_all_was_ready_ends_the_start() -> None:
    """The first start is not repeated: it gives up, names the fault, and stops what runs."""
    supervision = Supervision([DATABASE, RAY])
    supervision.decide(0.0)
    supervision.on_ready("database", 1.0)
    supervision.on_exit("ray", 1, "ended with status 1", 1.0)
    assert supervision.decide(1.0) == [GiveUp("ray", "ended with status 1"), Terminate("database")]
    supervision.on_exit("database", 0, "", 2.0)
    assert supervision.all_down
    assert supervision.fault == GiveUp("ray", "ended with status 1")


def test_a_server_that_never_answers_is_killed_at_its_deadline_and_named() -> None:
    """A start has an end even if the process lives on without serving."""
    supervision = Supervision([DATABASE])
    supervision.decide(0.0)
    assert supervision.decide(29.9) == []
    assert supervision.decide(30.0) == [Kill("database")]
    supervision.on_exit("database", -9, "was ended by SIGKILL", 30.1)
    assert supervision.fault == GiveUp("database", "not ready after 30 s")


def test_a_server_that_dies_later_is_started_again_after_a_short_pause() -> None:
    """Death after the first start is mended, and nothing else is touched."""
    supervision = started()
    supervision.on_exit("database", -9, "was ended by SIGKILL", 100.0)
    assert supervision.decide(100.0) == []
    assert supervision.decide(100.0 + BACKOFF_FIRST_S) == [Start("database")]
    assert supervision.children["database"].restarts == 1
    assert supervision.fault is None


def test_the_pause_doubles_to_its_bound_and_starts_over_after_a_stable_time() -> None:
    """A server that keeps dying is tried ever more rarely, but for ever."""
    supervision = started(DATABASE)
    now, pauses = 10.0, []
    for _ in range(10):
        supervision.on_exit("database", 1, "ended with status 1", now)
        pauses.append(supervision.children["database"].not_before - now)
        now += pauses[-1]
        assert supervision.decide(now) == [Start("database")]
    assert pauses[:3] == pytest.approx([0.2, 0.4, 0.8])
    assert pauses[-1] == BACKOFF_MAX_S
    supervision.on_ready("database", now)
    supervision.on_exit("database", 1, "ended with status 1", now + STABLE_S + 1.0)
    assert supervision.children["database"].not_before == pytest.approx(now + STABLE_S + 1.0 + BACKOFF_FIRST_S)


def test_a_task_is_run_again_only_after_a_restart_of_what_held_its_result() -> None:
    """What the set-up did in Ray is lost with Ray, and what it did in the database is not."""
    supervision = started()
    supervision.on_exit("database", -9, "", 10.0)
    supervision.decide(11.0)
    supervision.on_ready("database", 11.0)
    assert (supervision.all_ready, supervision.decide(12.0)) == (True, [])
    supervision.on_exit("ray", 1, "", 20.0)
    assert not supervision.all_ready
    assert supervision.decide(21.0) == [Start("ray")]
    supervision.on_ready("ray", 22.0)
    assert supervision.decide(22.0) == [Start("set-up")]


def test_a_task_is_stopped_when_what_it_needs_dies_under_it_and_run_again_later() -> None:
    """A set-up on a dead Ray would hang; its end then is no failure of its own."""
    supervision = started()
    supervision.on_exit("ray", 1, "", 10.0)
    supervision.decide(11.0)
    supervision.on_ready("ray", 11.0)
    assert supervision.decide(11.0) == [Start("set-up")]
    supervision.on_exit("ray", 1, "", 12.0)
    assert Terminate("set-up") in supervision.decide(12.0)
    supervision.on_exit("set-up", -15, "was ended by SIGTERM", 12.5)
    assert supervision.children["set-up"].restarts == 0
    assert supervision.decide(20.0) == [Start("ray")]
    supervision.on_ready("ray", 21.0)
    assert supervision.decide(21.0) == [Start("set-up")]


def test_a_task_that_fails_later_is_tried_again() -> None:
    """Once the gateway has run, a failed set-up is repeated like a dead server."""
    supervision = started()
    supervision.on_exit("ray", 1, "", 10.0)
    supervision.decide(11.0)
    supervision.on_ready("ray", 11.0)
    supervision.decide(11.0)
    supervision.on_exit("set-up", 1, "ended with status 1", 12.0)
    assert supervision.fault is None
    assert supervision.decide(12.0 + BACKOFF_FIRST_S) == [Start("set-up")]


def test_stops_in_the_reverse_order_of_needs() -> None:
    """A server is stopped only when nothing that needs it runs any more."""
    web = ChildPlan("web", needs=frozenset({"database"}))
    supervision = started(DATABASE, web)
    supervision.stop()
    assert supervision.decide(10.0) == [Terminate("web")]
    assert supervision.decide(10.5) == []
    supervision.on_exit("web", 0, "", 11.0)
    assert supervision.decide(11.0) == [Terminate("database")]
    supervision.on_exit("database", 0, "", 12.0)
    assert supervision.all_down
    assert supervision.decide(60.0) == []


def test_a_child_that_does_not_stop_in_its_time_is_killed_once() -> None:
    """The deadline of a stop is kept by force."""
    supervision = started(DATABASE)
    supervision.stop()
    supervision.decide(10.0)
    assert supervision.decide(14.9) == []
    assert supervision.decide(15.0) == [Kill("database")]
    assert supervision.decide(16.0) == []


def test_a_stop_in_the_middle_of_a_start_starts_nothing_more() -> None:
    """Ctrl-C while starting ends what is there and leaves out the rest."""
    supervision = Supervision([DATABASE, SET_UP, RAY])
    supervision.decide(0.0)
    supervision.on_ready("database", 1.0)
    supervision.stop()
    assert set(supervision.decide(1.0)) == {Terminate("database"), Terminate("ray")}
    supervision.on_ready("ray", 1.1)
    assert supervision.children["ray"].phase is Phase.STOPPING
    supervision.on_exit("database", 0, "", 2.0)
    supervision.on_exit("ray", 0, "", 2.0)
    assert supervision.all_down
    assert supervision.fault is None


def test_the_next_deadline_is_the_nearest_one_ahead() -> None:
    """Whoever waits for events wakes up in time for pauses, starts and stops, and at least once a second."""
    supervision = started(DATABASE)
    assert supervision.next_deadline(50.0) == 1.0
    supervision.on_exit("database", 1, "", 50.0)
    assert supervision.next_deadline(50.0) == pytest.approx(BACKOFF_FIRST_S)


def test_a_circle_of_needs_is_refused() -> None:
    """Children that wait for each other would never start."""
    with pytest.raises(ValueError, match="cycle"):
        Supervision([ChildPlan("a", needs=frozenset({"b"})), ChildPlan("b", needs=frozenset({"a"}))])
