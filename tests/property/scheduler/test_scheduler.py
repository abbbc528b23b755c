"""Any sequence of commits, answers, deaths, breaks and take-overs: nothing is lost, nothing runs twice at once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from actors.scheduler.lifecycle import ORPHANED_MAX, Outcome
from actors.scheduler.task import TaskState
from tests.property.scheduler.world import WORKERS, World

NAMES = st.sampled_from(["plain", "plain", "narrow", "wide", "heavy", "killer"])
LANES = st.sampled_from([None, None, "a", "b"])
PICKS = st.integers(0, 100)
OUTCOMES = st.sampled_from(
    [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.GAVE_UP, Outcome.INTERRUPTED]
)


class SchedulerMachine(RuleBasedStateMachine):
    """The world asserts what must not happen; at the end every task has to end."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.world = World(seed)

    @rule(
        name=NAMES,
        count=st.integers(1, 8),
        owner=st.sampled_from(["", "m1", "m2"]),
        lane=LANES,
        priority=st.sampled_from([0, 2, 2, 3]),
        delay_s=st.sampled_from([0.0, 0.0, 0.0, 1.0, 40.0, 500.0]),
    )
    def enqueue(self, name: str, count: int, owner: str, lane: str | None, priority: int, delay_s: float) -> None:
        for _ in range(count if name != "killer" else 1):
            self.world.enqueue(name, owner=owner, lane=lane, priority=priority, delay_s=delay_s)

    @precondition(lambda self: self.world.rows)
    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        ids = list(self.world.rows)
        self.world.cancel(ids[pick % len(ids)])

    @rule()
    def discover(self) -> None:
        self.world.discover()

    @precondition(lambda self: self.world.reads)
    @rule(pick=PICKS)
    def finish_read(self, pick: int) -> None:
        self.world.finish_read(pick)

    @precondition(lambda self: self.world.write is not None)
    @rule()
    def apply_write(self) -> None:
        self.world.apply_write()

    @precondition(lambda self: self.world.write is not None)
    @rule()
    def acknowledge_write(self) -> None:
        self.world.acknowledge_write()

    @rule(name=st.sampled_from(WORKERS))
    def connect(self, name: str) -> None:
        if name not in self.world.processes:
            self.world.start_worker(name)
        if self.world.processes[name].connection is None:
            self.world.connect(name)

    @rule(name=st.sampled_from(WORKERS))
    def disconnect(self, name: str) -> None:
        process = self.world.processes.get(name)
        if process is not None and process.connection is not None:
            self.world.disconnect(name)

    @rule(name=st.sampled_from(WORKERS), down=st.booleans())
    def receive(self, name: str, down: bool) -> None:
        process = self.world.processes.get(name)
        connection = process.connection if process is not None else None
        if connection is not None and (connection.down if down else connection.up):
            self.world.receive(name, down=down)

    @rule(name=st.sampled_from(WORKERS), pick=PICKS, outcome=OUTCOMES)
    def finish_run(self, name: str, pick: int, outcome: Outcome) -> None:
        process = self.world.processes.get(name)
        if process is not None and process.runs:
            self.world.finish_run(name, pick, outcome)

    @rule(name=st.sampled_from(WORKERS))
    def kill(self, name: str) -> None:
        if name in self.world.processes:
            self.world.kill(name)

    @precondition(lambda self: self.world.notices)
    @rule(pick=PICKS)
    def notice(self, pick: int) -> None:
        self.world.notice(pick)

    @rule()
    def take_over(self) -> None:
        self.world.take_over()

    @rule(seconds=st.sampled_from([0.01, 0.6, 5.0, 25.0]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule()
    def work(self) -> None:
        """A round without trouble, so that sequences come far."""
        self.world.settle_once()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.settle()
        status = self.world.core.status()
        assert status.running == status.delayed == sum(status.ready.values()) == 0
        for row in self.world.rows.values():
            assert row.state is not TaskState.PENDING
            if row.task.name == "killer":
                assert row.state in (TaskState.DEAD, TaskState.CANCELLED)
            if row.task.orphaned == ORPHANED_MAX:
                assert row.state in (TaskState.DEAD, TaskState.CANCELLED)


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
