"""The breakers of one process, and what it tells the board of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.breaker.messages import Forced, Report, Ruling, Standing, Sync, SyncAnswer
from actors.runtime.breaker import Breaker, BreakerPolicy, State


class Shown(Protocol):
    """Breakers that are shown under one name and decide for themselves: those of the nodes of a Redis."""

    def look(self, now: float) -> tuple[State, int, int]:
        """Return the worst state, and calls and failures of all."""
        ...

    def force(self, forced: State | None) -> None:
        """Hold all of them open or closed, or let them decide again."""
        ...


@dataclass(slots=True)
class _Told:
    """What the board knows of a breaker: the version that was taken from it, and the decision that was told last."""

    version: int = 0
    decisions: int = 0
    forced: Forced | None = None


class ProcessBreakers:
    """Hold a process's breakers by name, and keep them and the board in agreement.

    Each decides by itself whether the board is there or not; what the board knows better is adopted. Not for threads.
    """

    def __init__(self, process: str, draw: random.Random | None = None) -> None:
        self._process = process
        self._draw = draw or random.Random()
        self._breakers: dict[str, Breaker] = {}
        self._shown: dict[str, Shown] = {}
        self._told: dict[str, _Told] = {}
        self._life = ""
        self.on_news: Callable[[], None] = lambda: None
        """Called whenever a breaker has something to tell that the board does not know."""

    @property
    def process(self) -> str:
        """The name by which the board knows this process."""
        return self._process

    @property
    def by_name(self) -> Mapping[str, Breaker]:
        """The breakers that this process shares with the others."""
        return self._breakers

    def add(self, name: str, policy: BreakerPolicy) -> Breaker:
        """Make a breaker that all processes share under this name, or return the one that was made before."""
        breaker = self._breakers.get(name)
        if breaker is None:
            assert name not in self._told, f"{name} is there twice"
            breaker = self._breakers[name] = Breaker(self._draw, policy, lambda: self.on_news())
            self._told[name] = _Told()
        return breaker

    def show(self, name: str, shown: Shown) -> None:
        """Show breakers that this process keeps to itself."""
        assert name not in self._told, f"{name} is there twice"
        self._shown[name] = shown
        self._told[name] = _Told()

    def sync(self, now: float) -> tuple[Sync, Mapping[str, int]]:
        """Return what to send, and the decisions that it tells of, for ``take``."""
        reports: Sequence[Report] = [
            *(self._report(name, breaker, now) for name, breaker in self._breakers.items()),
            *(self._report_shown(name, shown, now) for name, shown in self._shown.items()),
        ]
        decisions = {name: breaker.decisions for name, breaker in self._breakers.items()}
        return Sync(self._process, self._life, tuple(reports)), decisions

    def take(self, answer: SyncAnswer, sent: Mapping[str, int], now: float) -> None:
        """Adopt what holds. ``sent`` are the decisions that the answered sync told of; later ones stay to be told."""
        new_life = answer.life != self._life
        self._life = answer.life
        for standing in answer.standings:
            told = self._told[standing.name]
            if standing.is_yours:
                told.version, told.decisions = standing.version, sent.get(standing.name, 0)
                told.forced = standing.forced
            elif new_life or standing.version > told.version:
                self._adopt(standing, told, now)

    def _adopt(self, standing: Standing, told: _Told, now: float) -> None:
        forced = standing.forced.state if standing.forced is not None else None
        told.version, told.forced = standing.version, standing.forced
        breaker = self._breakers.get(standing.name)
        if breaker is None:
            self._shown[standing.name].force(forced)
            return
        if breaker.forced is not forced:
            breaker.force(forced)
        if standing.ruling.is_open:
            breaker.adopt_open(standing.ruling.pause_s, standing.ruling.remaining_s, now)
        elif breaker.is_open:
            breaker.adopt_closed()
        told.decisions = breaker.decisions

    def _report(self, name: str, breaker: Breaker, now: float) -> Report:
        told = self._told[name]
        calls, failures = breaker.window(now)
        return Report(
            name=name,
            state=breaker.state,
            calls=calls,
            failures=failures,
            version=told.version,
            ruling=Ruling(breaker.is_open, breaker.pause_s, breaker.remaining_s(now)),
            is_new=breaker.decisions != told.decisions,
            forced=told.forced,
        )

    def _report_shown(self, name: str, shown: Shown, now: float) -> Report:
        told = self._told[name]
        state, calls, failures = shown.look(now)
        return Report(name, state, calls, failures, told.version, Ruling(), False, told.forced, shared=False)
