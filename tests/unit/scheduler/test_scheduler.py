"""Events in, effects out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from uuid import UUID

from actors.scheduler.effects import Dispatch, Effects, RunEnd, RunRef
from actors.scheduler.fleet import Worker, deal
from actors.scheduler.lifecycle import ORPHANED_MAX, Outcome
from actors.scheduler.registry import Kind
from actors.scheduler.scheduler import DRAIN_S, SILENCE_S, STUCK_AFTER_S, TaskScheduler
from actors.scheduler.task import Task, TaskState
from tests.unit.scheduler.makers import make_registry, make_task, numbers

_NOW = 1_000.0
_ROOMS = {Kind.IO: 10}


class Shell:
    """Does at once what the core wants, and keeps what it sent."""

    def __init__(self, former: Iterable[Dispatch] = (), heads: Iterable[Task] = (), *, delayed_max: int = 100) -> None:
        registry = make_registry(a={"timeout_s": 60.0}, strict={"lane_width": 1})

        @registry.cpu_task("heavy")
        def heavy() -> None: ...

        self.now = _NOW
        ids = itertools.count(1_000)
        self.core = TaskScheduler(
            registry,
            self.now,
            new_id=lambda: UUID(int=next(ids)),
            draw=lambda: 0.5,
            former=former,
            heads=heads,
            delayed_max=delayed_max,
        )
        self.runs: dict[int, tuple[str, RunRef]] = {}
        self.rows: dict[int, tuple[Task, TaskState]] = {}
        self.effects: list[Effects] = []

    def join(
        self,
        name: str,
        incarnation: str = "1",
        *,
        rooms: Mapping[Kind, int] = _ROOMS,
        runs: Iterable[RunRef] = (),
        ends: Iterable[RunEnd] = (),
    ) -> None:
        self.core.worker_joined(name, incarnation, rooms, runs, ends, self.now)

    def discover(self, *tasks: Task) -> None:
        self.core.discovered(self.core.begin_discovery(), tasks, self.now)

    def work(self, seconds: float = 0.0) -> dict[str, list[int]]:
        """Step and write until nothing more happens; return what was sent to whom meanwhile."""
        self.now += seconds
        sent: dict[str, list[int]] = {}
        while True:
            effects = self.core.step(self.now)
            self.effects.append(effects)
            for fetch in effects.fetches:
                self.core.fetched(fetch, [], self.now)
            for dispatch in effects.sends:
                sent.setdefault(dispatch.worker, []).extend(numbers(dispatch.tasks))
                for task in dispatch.tasks:
                    self.runs[task.id.int] = (dispatch.worker, RunRef(task.id, dispatch.id))
            if effects.write is None:
                if effects == Effects(None, (), {}, {}, (), ()):
                    return sent
                continue
            for task, state, _ in effects.write.conclusions:
                self.rows[task.id.int] = (task, state)
            self.core.written(self.now)

    def end(self, number: int, outcome: Outcome = Outcome.SUCCEEDED, incarnation: str = "1") -> None:
        name, ref = self.runs[number]
        self.core.ended(name, incarnation, [RunEnd(ref, outcome)], self.now)


def test_a_task_runs_and_ends() -> None:
    """It is sent once its dispatch is durable, and its worker is told once its end is."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    dispatched = shell.core.step(shell.now)
    assert dispatched.write is not None
    assert numbers(dispatched.write.dispatches[0].tasks) == [1]
    assert dispatched.sends == ()
    shell.core.written(shell.now)
    assert shell.work() == {"w0": [1]}
    shell.end(1)
    ended = shell.core.step(shell.now)
    assert ended.write is not None
    assert ended.acks == {}
    shell.core.written(shell.now)
    assert shell.core.step(shell.now).acks == {"w0": [shell.runs[1][1]]}
    assert shell.core.status().running == 0


def test_tasks_are_shared_among_workers_by_the_room_they_have() -> None:
    """None gets more than it has room for."""
    shell = Shell()
    shell.join("w0", rooms={Kind.IO: 2})
    shell.join("w1", rooms={Kind.IO: 3, Kind.CPU: 1})
    shell.discover(*(make_task(number) for number in range(6)), make_task(10, "heavy"), make_task(11, "heavy"))
    sent = shell.work()
    assert sorted(len(each) for each in sent.values()) == [2, 4]
    assert 10 in sent["w1"]
    status = shell.core.status()
    assert (status.running, sum(status.ready.values())) == (6, 2)


def test_an_end_of_another_run_is_acknowledged_and_ignored() -> None:
    """Of a former life of the worker, of another worker, of another dispatch, and one that comes twice."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.work()
    _, ref = shell.runs[1]
    others = [
        ("w0", "0", ref),
        ("w1", "1", ref),
        ("w0", "1", RunRef(ref.task_id, UUID(int=5))),
    ]
    for name, incarnation, each in others:
        shell.core.ended(name, incarnation, [RunEnd(each, Outcome.SUCCEEDED)], shell.now)
        effects = shell.core.step(shell.now)
        assert effects.acks == {name: [each]}
        assert effects.write is None
    shell.end(1)
    shell.end(1)
    assert shell.core.step(shell.now).acks == {}


def test_what_a_dead_worker_ran_runs_elsewhere_at_once() -> None:
    """And is counted as orphaned, durably, before it is sent."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1), make_task(2))
    shell.work()
    shell.join("w1")
    shell.core.worker_lost("w0", "1", shell.now)
    assert shell.work() == {"w1": [1, 2]}
    assert shell.rows[1] == (make_task(1, orphaned=1), TaskState.PENDING)
    shell.core.worker_lost("w0", "1", shell.now)
    assert shell.work() == {}


def test_what_was_not_sent_to_a_dead_worker_is_not_counted() -> None:
    """Its write was under way when it died."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.core.step(shell.now)
    shell.core.worker_lost("w0", "1", shell.now)
    shell.join("w1")
    shell.core.written(shell.now)
    assert shell.work() == {"w1": [1]}
    assert shell.rows == {}


def test_what_got_lost_on_the_way_is_sent_again() -> None:
    """A worker that lost its connection says what it runs; the rest never arrived, and nothing is counted."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1), make_task(2), make_task(3))
    shell.work()
    shell.core.worker_absent("w0", "1", shell.now)
    assert shell.work(1.0) == {}
    arrived, ended = shell.runs[1][1], RunEnd(shell.runs[2][1], Outcome.SUCCEEDED)
    shell.join("w0", runs=[arrived], ends=[ended])
    assert shell.work() == {"w0": [3]}
    assert shell.rows == {2: (make_task(2), TaskState.SUCCEEDED)}


def test_a_worker_that_is_away_gets_nothing() -> None:
    """What was about to be sent goes to another."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.core.step(shell.now)
    shell.core.worker_absent("w0", "1", shell.now)
    shell.core.written(shell.now)
    assert shell.work() == {}
    shell.join("w1")
    assert shell.work() == {"w1": [1]}


def test_a_new_life_of_a_worker_ends_the_former() -> None:
    """Nobody has to tell."""
    shell = Shell()
    shell.join("w0", "1")
    shell.discover(make_task(1))
    shell.work()
    shell.join("w0", "2")
    assert shell.work() == {"w0": [1]}
    assert shell.rows[1][0].orphaned == 1


def test_a_silent_worker_is_given_up_in_the_end() -> None:
    """Its process is ended, and what it ran is orphaned."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.work()
    shell.core.worker_absent("w0", "1", shell.now)
    shell.join("w1")
    assert shell.work(SILENCE_S - 1) == {}
    assert shell.work(2.0) == {"w1": [1]}
    assert [effects.kills for effects in shell.effects if effects.kills] == [(("w0", "1"),)]


def test_a_worker_that_does_not_end_a_run_in_time_is_stuck() -> None:
    """It gets nothing more, and has to be ended."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.work()
    shell.work(60.0 + STUCK_AFTER_S - 1)
    assert not [effects for effects in shell.effects if effects.kills]
    shell.work(2.0)
    assert [effects.kills for effects in shell.effects if effects.kills] == [(("w0", "1"),)]
    shell.discover(make_task(2))
    assert shell.work() == {}
    shell.core.worker_lost("w0", "1", shell.now)
    shell.join("w1")
    assert sorted(shell.work()["w1"]) == [1, 2]


def test_a_suspect_has_a_worker_for_itself() -> None:
    """Which finishes what it runs before, gets nothing beside it, and serves all again afterwards."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.work()
    suspect = make_task(2, orphaned=ORPHANED_MAX - 1)
    shell.discover(suspect, make_task(3))
    assert shell.work() == {}
    shell.end(1)
    assert shell.work() == {"w0": [2]}
    shell.discover(make_task(4))
    assert shell.work() == {}
    shell.end(2)
    assert sorted(shell.work()["w0"]) == [3, 4]


def test_a_suspect_does_not_wait_for_its_neighbours_for_ever() -> None:
    """And other workers go on meanwhile."""
    shell = Shell()
    for name in ("w0", "w1"):
        shell.join(name)
    shell.discover(make_task(1), make_task(2))
    shell.work()
    shell.discover(make_task(3, orphaned=ORPHANED_MAX - 1), make_task(4))
    assert list(shell.work().values()) == [[4]]
    assert shell.work(DRAIN_S - 1) == {}
    assert list(shell.work(2.0).values()) == [[3]]


def test_a_suspect_that_loses_its_worker_too_is_dead() -> None:
    """Nothing else is."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1, orphaned=ORPHANED_MAX - 1))
    shell.work()
    shell.core.worker_lost("w0", "1", shell.now)
    shell.join("w1")
    assert shell.work() == {}
    assert shell.rows[1] == (make_task(1, orphaned=ORPHANED_MAX), TaskState.DEAD)


def test_a_new_owner_goes_on_where_the_former_was() -> None:
    """What the workers run goes on, what ended counts, what never arrived is sent; and lanes wait meanwhile."""
    tasks = [make_task(number, "strict", lane=f"l{number}") for number in range(1, 4)]
    dispatch = Dispatch(UUID(int=500), "w0", "1", tuple(tasks))
    shell = Shell(former=[dispatch])
    shell.join("w1")
    shell.work()
    shell.discover(make_task(11, "strict", lane="l1"), *tasks)
    assert shell.work() == {}
    runs = [RunRef(task.id, dispatch.id) for task in tasks]
    shell.join("w0", runs=runs[:1], ends=[RunEnd(runs[1], Outcome.SUCCEEDED)])
    sent = shell.work()
    assert list(sent.values()) == [[3]]
    assert shell.rows == {2: (tasks[1], TaskState.SUCCEEDED)}
    shell.core.ended("w0", "1", [RunEnd(runs[0], Outcome.SUCCEEDED)], shell.now)
    assert list(shell.work().values()) == [[11]]


def test_a_new_owner_counts_what_dead_workers_ran() -> None:
    """When it hears of their death, or when they have been silent for too long."""
    former = [
        Dispatch(UUID(int=500), "w0", "1", (make_task(1),)),
        Dispatch(UUID(int=501), "w1", "1", (make_task(2),)),
    ]
    shell = Shell(former=former)
    shell.join("w2")
    shell.core.worker_lost("w0", "1", shell.now)
    assert shell.work() == {"w2": [1]}
    assert shell.work(SILENCE_S) == {"w2": [2]}
    assert shell.rows[1][0].orphaned == shell.rows[2][0].orphaned == 1


def test_a_new_owner_believes_the_newest_dispatch() -> None:
    """A worker that runs a task by an older one is told to end it."""
    former = [
        Dispatch(UUID(int=501), "w1", "1", (make_task(1),)),
        Dispatch(UUID(int=500), "w0", "1", (make_task(1),)),
    ]
    shell = Shell(former=former)
    older = RunRef(make_task(1).id, UUID(int=500))
    shell.join("w0", runs=[older])
    assert shell.core.step(shell.now).cancels == {"w0": [older]}
    assert [each.id.int for each in shell.core.open_dispatches()] == [501]


def test_a_strict_lane_waits_for_its_head_under_a_new_owner_too() -> None:
    """Though the head is due later than those behind it."""
    head = make_task(1, "strict", lane="x", attempts=1, run_at=_NOW + 500.0)
    shell = Shell(heads=[head])
    shell.join("w0")
    shell.work()
    shell.discover(make_task(2, "strict", lane="x"), head)
    assert shell.work() == {}
    assert shell.work(501.0) == {"w0": [1]}
    shell.end(1)
    assert shell.work() == {"w0": [2]}


def test_a_failure_runs_again_when_its_pause_is_over() -> None:
    """The attempt is counted durably."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.work()
    shell.end(1, Outcome.FAILED)
    assert shell.work() == {}
    assert shell.core.next_at == shell.now + 0.5
    assert shell.work(0.5) == {"w0": [1]}
    assert shell.rows[1][0].attempts == 1


def test_a_retry_that_finds_no_room_is_read_from_the_table_again() -> None:
    """It was written there, so it is not lost; and what is known from a page is not taken in twice."""
    shell = Shell(delayed_max=1)
    shell.join("w0")
    shell.discover(make_task(1), make_task(2))
    shell.work()
    for number in (1, 2):
        shell.end(number, Outcome.FAILED)
    write = shell.core.step(shell.now).write
    assert write is not None
    shell.core.written(shell.now)
    shell.now += 0.5
    effects = shell.core.step(shell.now)
    assert effects.write is not None
    assert [numbers(each.tasks) for each in effects.write.dispatches] == [[1]]
    (fetch,) = effects.fetches
    first, second = (each.task for each in write.conclusions)
    assert fetch.after < (second.run_at, second.id) < (fetch.until, second.id)
    shell.core.fetched(fetch, [first, second], shell.now)
    shell.core.written(shell.now)
    assert shell.work() == {"w0": [1, 2]}


def test_tasks_are_cancelled_wherever_they_are() -> None:
    """Waiting, delayed, unknown, about to be sent, or running: there the worker ends them."""
    shell = Shell()
    shell.join("w0", rooms={Kind.IO: 1})
    shell.discover(make_task(1), make_task(2), make_task(3, run_at=_NOW + 5.0))
    shell.work()
    shell.core.cancel([make_task(number).id for number in range(1, 5)])
    effects = shell.core.step(shell.now)
    assert effects.cancels == {"w0": [shell.runs[1][1]]}
    assert effects.write is not None
    assert numbers(each.task for each in effects.write.conclusions) == [2, 3]
    assert effects.write.cancels == (make_task(4).id,)
    shell.core.written(shell.now)
    shell.end(1, Outcome.CANCELLED)
    shell.work()
    assert shell.rows[1][1] is TaskState.CANCELLED
    shell.discover(make_task(5))
    shell.core.step(shell.now)
    shell.core.cancel([make_task(5).id])
    shell.core.written(shell.now)
    assert shell.work() == {}
    assert shell.rows[5][1] is TaskState.CANCELLED


def test_a_worker_that_missed_a_cancellation_is_told_again() -> None:
    """When it is back; and if it dies instead, the task is cancelled."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.work()
    shell.core.worker_absent("w0", "1", shell.now)
    shell.core.cancel([make_task(1).id])
    assert shell.core.step(shell.now).cancels == {}
    ref = shell.runs[1][1]
    shell.join("w0", runs=[ref])
    assert shell.core.step(shell.now).cancels == {"w0": [ref]}
    shell.core.worker_lost("w0", "1", shell.now)
    shell.work()
    assert shell.rows[1][1] is TaskState.CANCELLED


def test_a_read_that_overlapped_with_an_end_brings_nothing_back() -> None:
    """It shows the task as it was."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1))
    shell.work()
    read = shell.core.begin_discovery()
    shell.end(1)
    shell.work()
    shell.core.discovered(read, [make_task(1)], shell.now)
    assert shell.work() == {}


def test_a_name_that_nobody_knows_stays_in_the_table() -> None:
    """A newer version may know it."""
    shell = Shell()
    shell.join("w0")
    shell.discover(make_task(1, "later"), make_task(2))
    assert shell.work() == {"w0": [2]}
    assert shell.core.status().unknown_names == {"later": 1}


def test_a_deal_gives_each_to_whoever_has_most_room() -> None:
    """And never more than there is."""
    workers = [Worker(name, "1") for name in "abc"]
    for worker, room in zip(workers, (1, 4, 2), strict=True):
        worker.rooms = {Kind.IO: room}
    hands = deal([make_task(number) for number in range(7)], workers, Kind.IO)
    assert {worker.name: len(hand) for worker, hand in hands.items()} == {"a": 1, "b": 4, "c": 2}
