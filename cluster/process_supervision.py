"""Decide what to do about the processes of a gateway: which to start, restart, stop or give up on.

Pure: it is told the time and what happened, and answers with actions. `processes` carries them out.

Each child needs others: it is started when all that it needs are ready, and stopped after all that need it are
down. A server runs until it is stopped; a task ends by itself, and is run again when a server that held its result
was restarted. A task may be started while servers that it needs still start, to do meanwhile what it can without
them; it is told when they serve. Before everything was ready for the first time, any failure ends the whole start: a
fault of the set-up is to be read, not repeated. Afterwards a child that dies is started again for ever, after a pause
that doubles from 0.2 s to 10 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from graphlib import TopologicalSorter

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
# Whoever was ready for this long has proved itself: its next death counts as its first.
STABLE_S = 60.0


class Kind(Enum):
    """How a child is meant to end."""

    SERVER = "server"
    TASK = "task"


class Phase(Enum):
    """Where a child is in its life."""

    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """Say what is wanted of a child. Times in seconds."""

    name: str
    kind: Kind = Kind.SERVER
    needs: frozenset[str] = frozenset()
    # For a task: it is started while these still start, and waits for them by itself. A part of `needs`.
    awaits: frozenset[str] = frozenset()
    # For a task: what it did is lost with these, so that it is run again after their restart. A part of `needs`.
    repeats_after: frozenset[str] = frozenset()
    start_s: float = 60.0
    stop_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Start:
    """Start the child."""

    name: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """Ask the child to end."""

    name: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End the child by force."""

    name: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The start failed; everything is being stopped."""

    name: str
    reason: str


Action = Start | Terminate | Kill | GiveUp


@dataclass(slots=True)
class ChildState:
    """What is known of a child."""

    plan: ChildPlan
    phase: Phase = Phase.DOWN
    since: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    restarts: int = 0
    killed: bool = False
    # How often it became ready; for a task, how often those it repeats after had when it last ended well.
    generation: int = 0
    ran_on: dict[str, int] = field(default_factory=dict)


class Supervision:
    """Hold the state of all children; `decide` gives the actions that bring it nearer to what is wanted."""

    def __init__(self, plans: Sequence[ChildPlan]) -> None:
        self.children = {plan.name: ChildState(plan) for plan in plans}
        # Raises CycleError here and not in the middle of a start; also fixes the order of actions.
        self._order = list(TopologicalSorter({plan.name: plan.needs for plan in plans}).static_order())
        self.started_once = False
        self.stopping = False
        self.fault: GiveUp | None = None

    @property
    def all_ready(self) -> bool:
        """Whether every server is ready and every task has ended well on the servers as they are now."""
        return not self.stopping and all(self._is_settled(child) for child in self.children.values())

    @property
    def all_down(self) -> bool:
        """Whether no process is left."""
        return all(child.phase is Phase.DOWN for child in self.children.values())

    def stop(self) -> None:
        """Want everything down from now on."""
        self.stopping = True

    def on_ready(self, name: str, now: float) -> None:
        """Note that a server answers. One that is no longer wanted stays so."""
        child = self.children[name]
        if child.phase is Phase.STARTING:
            self._enter(child, Phase.READY, now)
            child.generation += 1
        if self.all_ready:
            self.started_once = True

    def on_exit(self, name: str, code: int, reason: str, now: float) -> None:
        """Note that a child's process has ended; `reason` is said where that is a fault."""
        child = self.children[name]
        wanted = self._was_told_to_end(child)
        if child.plan.kind is Kind.TASK and code == 0 and not wanted:
            child.ran_on = self._generations(child)
            child.generation += 1
            child.failures = 0
            self._enter(child, Phase.DOWN, now)
        else:
            self._fail(child, now, reason, wanted=wanted)
        if self.all_ready:
            self.started_once = True

    def on_start_failed(self, name: str, reason: str, now: float) -> None:
        """Note that a child could not even be started."""
        child = self.children[name]
        self._fail(child, now, reason, wanted=self._was_told_to_end(child))

    def decide(self, now: float) -> list[Action]:
        """Return what is to be done now. Each action is taken as carried out."""
        actions: list[Action] = []
        if self.fault is not None and not self.stopping:
            self.stopping = True
            actions.append(self.fault)
        for name in self._order if not self.stopping else reversed(self._order):
            action = self._decide_child(self.children[name], now)
            if action is not None:
                actions.append(action)
        return actions

    def may_go_on(self, name: str) -> bool:
        """Tell whether all that a task awaits serves."""
        return all(self._serves(self.children[need]) for need in self.children[name].plan.awaits)

    def next_deadline(self, now: float) -> float:
        """Return in how many seconds `decide` has to be asked again even if nothing happens; at most 1."""
        times = [
            deadline - now
            for child in self.children.values()
            if (deadline := self._deadline(child)) is not None and deadline > now
        ]
        return min([1.0, *times])

    def _decide_child(self, child: ChildState, now: float) -> Action | None:
        name = child.plan.name
        if child.phase is Phase.STARTING and now >= child.since + child.plan.start_s:
            return self._force(child, now)
        if child.phase is Phase.STOPPING and not child.killed and now >= child.since + child.plan.stop_s:
            return self._force(child, now)
        if self._should_stop(child):
            self._enter(child, Phase.STOPPING, now)
            return Terminate(name)
        if self._should_start(child, now):
            self._enter(child, Phase.STARTING, now)
            child.killed = False
            return Start(name)
        return None

    def _should_start(self, child: ChildState, now: float) -> bool:
        if self.stopping or child.phase is not Phase.DOWN or now < child.not_before or self._is_settled(child):
            return False
        return all(self._is_there(child, need) for need in child.plan.needs)

    def _should_stop(self, child: ChildState) -> bool:
        if child.phase not in (Phase.STARTING, Phase.READY):
            return False
        if child.plan.kind is Kind.TASK and not all(self._is_there(child, n) for n in child.plan.needs):
            # It works on a server that is gone: what it does there is lost, and it may hang.
            return True
        return self.stopping and all(
            other.phase is Phase.DOWN for other in self.children.values() if child.plan.name in other.plan.needs
        )

    def _force(self, child: ChildState, now: float) -> Kill:
        if child.phase is Phase.STARTING and not self.started_once and self.fault is None:
            self.fault = GiveUp(child.plan.name, f"not ready after {child.plan.start_s:g} s")
        child.phase, child.killed, child.since = Phase.STOPPING, True, now
        return Kill(child.plan.name)

    def _fail(self, child: ChildState, now: float, reason: str, *, wanted: bool) -> None:
        if not self.stopping and not wanted:
            lived_s = now - child.since if child.phase is Phase.READY else 0.0
            child.failures = 1 if lived_s >= STABLE_S else child.failures + 1
            child.restarts += 1
            if not self.started_once and self.fault is None:
                self.fault = GiveUp(child.plan.name, reason)
        if not self.stopping:
            pause_s = BACKOFF_FIRST_S * 2 ** min(max(child.failures - 1, 0), 10)
            child.not_before = now + min(pause_s, BACKOFF_MAX_S)
        self._enter(child, Phase.DOWN, now)

    def _is_settled(self, child: ChildState) -> bool:
        if child.plan.kind is Kind.SERVER:
            return child.phase is Phase.READY
        done = child.generation > 0 and child.ran_on == self._generations(child)
        return done and all(self._serves(self.children[need]) for need in child.plan.needs)

    def _generations(self, child: ChildState) -> dict[str, int]:
        return {name: self.children[name].generation for name in child.plan.repeats_after}

    def _serves(self, child: ChildState) -> bool:
        return self._is_settled(child) if child.plan.kind is Kind.TASK else child.phase is Phase.READY

    def _is_there(self, child: ChildState, need: str) -> bool:
        """Tell whether a need serves, or starts and is awaited."""
        needed = self.children[need]
        return self._serves(needed) or (need in child.plan.awaits and needed.phase is Phase.STARTING)

    def _deadline(self, child: ChildState) -> float | None:
        match child.phase:
            case Phase.STARTING:
                return child.since + child.plan.start_s
            case Phase.STOPPING if not child.killed:
                return child.since + child.plan.stop_s
            case Phase.DOWN:
                return child.not_before
            case _:
                return None

    @staticmethod
    def _was_told_to_end(child: ChildState) -> bool:
        # One that was killed because it never became ready has failed.
        return child.phase is Phase.STOPPING and not child.killed

    @staticmethod
    def _enter(child: ChildState, phase: Phase, now: float) -> None:
        child.phase, child.since = phase, now
