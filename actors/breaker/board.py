"""The cluster's one state for each breaker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from actors.breaker.messages import (
    BreakerView,
    Forced,
    ProcessView,
    Report,
    Ruling,
    Standing,
    Sync,
    SyncAnswer,
    Transition,
)
from actors.runtime.breaker import State

NAMES_MAX = 64
PROCESSES_MAX = 512
SILENT_AFTER_S = 3.0
"""Twelve reports: whoever missed so many is gone, or hears nothing either."""
_FORCED_RETRY_AFTER_S = 10.0
_SEVERITY = (State.CLOSED, State.HALF_OPEN, State.OPEN)


@dataclass(slots=True)
class _Entry:
    """One name. ``until`` ends the pause, on the board's monotonic clock."""

    since: datetime
    shared: bool
    version: int = 0
    is_open: bool = False
    pause_s: float = 0.0
    until: float = 0.0
    forced: Forced | None = None
    opened: int = 0
    shown: State = State.CLOSED
    heard: dict[str, tuple[float, ProcessView]] = field(default_factory=dict)

    def state(self, now: float) -> State:
        if self.forced is not None:
            return self.forced.state
        if not self.shared:
            return max((view.state for _, view in self.heard.values()), key=_SEVERITY.index, default=State.CLOSED)
        if not self.is_open:
            return State.CLOSED
        return State.OPEN if now < self.until else State.HALF_OPEN

    def take(self, ruling: Ruling, now: float) -> None:
        self.version += 1
        self.opened += ruling.is_open
        self.is_open, self.pause_s, self.until = ruling.is_open, ruling.pause_s, now + ruling.remaining_s

    def forget_silent(self, now: float) -> None:
        silent = [process for process, (at, _) in self.heard.items() if now - at > SILENT_AFTER_S]
        for process in silent:
            del self.heard[process]


class BreakerBoard:
    """Keep what processes found out and operators forced; times are arguments, ``now`` of a monotonic clock.

    Guaranteed:

    - A ruling is taken only from who knew the standing that it changes (compare-and-set on the version), so of two that
      found out together one is taken, and one that is late changes nothing. Each change raises the version.
    - While something is forced no ruling is taken.
    - After a restart the board (another ``life``) knows nothing: the first who says that a breaker is open or forced is
      believed, as long as nobody changed that name in this life.
    - At most ``NAMES_MAX`` names are kept and ``PROCESSES_MAX`` processes of each; the rest is not shown and decides by
      itself. A process is forgotten ``SILENT_AFTER_S`` after its last report.
    """

    def __init__(self, life: str) -> None:
        assert life, "it tells this board from the one before"
        self._life = life
        self._entries: dict[str, _Entry] = {}

    def sync(self, sync: Sync, now: float, wall: datetime) -> tuple[SyncAnswer, list[Transition]]:
        """Take a process's reports; return what holds, and what changed for all. Safe to repeat."""
        same_life = sync.life == self._life
        standings: list[Standing] = []
        transitions: list[Transition] = []
        for report in sync.reports:
            entry = self._entry(report, wall)
            if entry is None:
                continue
            taken = self._take(entry, report, same_life, now)
            self._hear(entry, sync.process, report, now)
            standings.append(_standing(report.name, entry, taken, now))
            transitions += _shown(report.name, entry, sync.process, now, wall)
        return SyncAnswer(self._life, tuple(standings)), transitions

    def force(self, name: str, state: State | None, by: str, now: float, wall: datetime) -> list[Transition] | None:
        """Hold a breaker open or closed, or (None) release it; return what changed, None where there is no such name.

        One that was held open is asked whether it is back before it closes; one that was held closed stays closed.
        """
        entry = self._entries.get(name)
        if entry is None:
            return None
        assert state is not State.HALF_OPEN
        was_open = entry.forced is not None and entry.forced.state is State.OPEN
        if state is None and entry.forced is None:
            return []
        entry.forced = None if state is None else Forced(state, by, wall)
        entry.version += 1
        entry.is_open, entry.pause_s, entry.until = (state is State.OPEN or (state is None and was_open)), 0.0, now
        return list(_shown(name, entry, by, now, wall, forced=True))

    def views(self, now: float, wall: datetime) -> tuple[BreakerView, ...]:
        """Return every breaker, sorted by name; processes too."""
        return tuple(self._view(name, self._entries[name], now, wall) for name in sorted(self._entries))

    def _entry(self, report: Report, wall: datetime) -> _Entry | None:
        entry = self._entries.get(report.name)
        if entry is None and len(self._entries) < NAMES_MAX:
            entry = self._entries[report.name] = _Entry(wall, report.shared)
        return entry

    def _take(self, entry: _Entry, report: Report, same_life: bool, now: float) -> bool:
        if not same_life:
            if entry.version > 0 or not (report.ruling.is_open or report.forced):
                return False
            entry.forced = report.forced
        elif entry.forced is not None or not report.is_new or report.version != entry.version:
            return False
        entry.take(report.ruling, now)
        return True

    def _hear(self, entry: _Entry, process: str, report: Report, now: float) -> None:
        entry.forget_silent(now)
        if process in entry.heard or len(entry.heard) < PROCESSES_MAX:
            entry.heard[process] = now, ProcessView(process, report.state, report.calls, report.failures)

    def _view(self, name: str, entry: _Entry, now: float, wall: datetime) -> BreakerView:
        entry.forget_silent(now)
        state = entry.state(now)
        if state is State.OPEN:
            retry_after_s = _FORCED_RETRY_AFTER_S if entry.forced is not None else max(0.0, entry.until - now)
        else:
            retry_after_s = 0.0
        return BreakerView(
            name=name,
            state=state,
            forced=entry.forced,
            since=entry.since if state is entry.shown else wall,
            retry_after_s=retry_after_s,
            opened=entry.opened,
            processes=tuple(view for _, (_, view) in sorted(entry.heard.items())),
        )


def _standing(name: str, entry: _Entry, taken: bool, now: float) -> Standing:
    ruling = Ruling(entry.is_open, entry.pause_s, max(0.0, entry.until - now) if entry.is_open else 0.0)
    return Standing(name, entry.version, ruling, entry.forced, taken)


def _shown(
    name: str, entry: _Entry, by: str, now: float, wall: datetime, *, forced: bool = False
) -> Iterator[Transition]:
    """Yield the change of what is shown since the last look; the end of a pause shows with the next report."""
    state = entry.state(now)
    if state is not entry.shown:
        yield Transition(name, entry.shown, state, by, forced)
        entry.shown, entry.since = state, wall
