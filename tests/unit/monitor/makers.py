"""A monitor in virtual time, and processes that report to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from actors.monitor.alerts import AlertRule, AlertState, AlertView, Finding, Severity
from actors.monitor.instruments import Instruments
from actors.monitor.monitor import Monitor
from actors.monitor.rules import Rules
from actors.runtime.clock import ManualClock

TURN_S = 0.25


class Fleet:
    """Processes that report every 250 ms, a monitor that hears them, and a clock that moves when it is told to."""

    def __init__(self, rules: Rules, processes: int = 1, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        if clock is None:
            # A machine is never in the first second of its life.
            self.clock.advance(1000)
        self.rules = rules
        self.monitor = Monitor(rules, self.clock.monotonic())
        self.processes = [Instruments(f"p{number}", "node", clock=self.clock) for number in range(processes)]
        self.delivered: list[AlertView] = []

    def turn(self) -> None:
        """Let a quarter of a second pass, and let all report."""
        self.clock.advance(TURN_S)
        for process in self.processes:
            self.monitor.take(process.take(), self.clock.monotonic())
        self.monitor.step(self.clock.monotonic(), self.clock.now())
        self.delivered += self.monitor.news()

    def run(self, seconds: float, load: Callable[[Instruments], None] = lambda _: None) -> None:
        """Let time pass under a load, which is called for each process and turn."""
        for _ in range(round(seconds / TURN_S)):
            for process in self.processes:
                load(process)
            self.turn()

    def until(self, done: Callable[[], bool], within_s: float, load: Callable[[Instruments], None]) -> float:
        """Let time pass until something holds and return how many seconds that took; fail where it takes longer."""
        begun = self.clock.monotonic()
        while not done():
            assert self.clock.monotonic() - begun < within_s, f"not within {within_s} s"
            self.run(TURN_S, load)
        return self.clock.monotonic() - begun

    def states(self) -> dict[str, AlertState]:
        """Return the state of each alert, by name."""
        return {alert.name: alert.state for alert in self.monitor.alerts().alerts}

    def firing(self, name: str) -> bool:
        """Tell whether an alert fires."""
        return self.states().get(name) is AlertState.FIRING

    def restarted(self) -> None:
        """Put a new monitor in the place of this one, which takes up what it saved."""
        saved = self.monitor.save(self.clock.monotonic(), self.clock.now())
        self.clock.advance(2)
        self.monitor = Monitor(self.rules, self.clock.monotonic())
        self.monitor.take_up(saved, self.clock.monotonic(), self.clock.now())


def finding(value: float = 9.0, rule: AlertRule | None = None, **labels: str) -> Finding:
    """Return what is found of an alert whose threshold is 5."""
    rule = rule or AlertRule("Hot", None, 5.0, "{value} of {threshold}", Severity.PAGE, for_s=3, keep_s=10)  # type: ignore[arg-type]
    return rule.find(tuple(sorted(labels.items())), value)


MINUTE = timedelta(minutes=1)
