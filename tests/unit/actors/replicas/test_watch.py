"""What a process hears of the servers."""

from __future__ import annotations

import pytest

from actors.pool.replicas.monitor import ServersView
from actors.pool.replicas.router import Observation
from actors.pool.replicas.watch import ServerWatch
from actors.pool.servers.timeline import Standing, Timelines
from actors.runtime.errors import Unavailable


class ScriptedMonitor:
    """Answers with what the test says, and remembers what it was told."""

    def __init__(self) -> None:
        self.timelines: dict[int, int] = {7: 1}
        self.told: list[dict[int, int]] = []
        self.away = False

    async def view(self, seen: dict[int, int]) -> ServersView:
        if self.away:
            raise Unavailable("monitor", "away", 1.0)
        self.told.append(seen)
        return ServersView({}, self.timelines, age_s=0.5)


class Heard:
    """What a watch has called."""

    def __init__(self) -> None:
        self.promotions = 0
        self.views: list[float] = []
        self.monitor = ScriptedMonitor()
        self.timelines = Timelines()
        self.watch = ServerWatch(
            self.monitor, on_promotion=self._promoted, on_view=self._viewed, timelines=self.timelines
        )

    def _promoted(self) -> None:
        self.promotions += 1

    def _viewed(self, _: ServersView, seen_at: float) -> None:
        self.views.append(seen_at)


async def test_the_first_timeline_is_no_promotion_and_a_higher_one_is() -> None:
    """Connections are given up once for each, and what was learnt forbids lower ones."""
    heard = Heard()
    await heard.watch.once()
    await heard.watch.once()
    assert heard.promotions == 0
    heard.monitor.timelines = {7: 2}
    await heard.watch.once()
    await heard.watch.once()
    assert heard.promotions == 1
    assert not heard.timelines.admits(Standing(system=7, in_recovery=False, timeline=1, lsn=0))


async def test_what_a_connection_of_this_process_saw_is_told_and_counts_too() -> None:
    """Other connections of the process may still lead to the server that was replaced."""
    heard = Heard()
    await heard.watch.once()
    heard.timelines.learn({7: 3})
    await heard.watch.once()
    assert heard.monitor.told[-1] == {7: 3}
    assert heard.promotions == 1


async def test_a_view_holds_since_before_it_was_asked_for() -> None:
    """By its age."""
    heard = Heard()
    await heard.watch.once()
    await heard.watch.once()
    first, second = heard.views
    assert first <= second


async def test_while_the_monitor_is_away_nothing_is_called() -> None:
    """Whoever asks is told so."""
    heard = Heard()
    heard.monitor.away = True
    with pytest.raises(Unavailable):
        await heard.watch.once()
    assert (heard.promotions, heard.views) == (0, [])


def test_the_primary_is_the_writable_server_of_the_highest_timeline() -> None:
    """One that was replaced and came back is none."""
    old = Observation(Standing(7, in_recovery=False, timeline=1, lsn=9), None)
    new = Observation(Standing(7, in_recovery=False, timeline=2, lsn=5), None)
    standby = Observation(Standing(7, in_recovery=True, timeline=2, lsn=5), 0.0)
    assert ServersView({"a": old, "b": new, "c": standby}, {7: 2}).primary == "b"
    assert ServersView({"a": old, "c": standby}, {7: 2}).primary is None
    assert ServersView({"b": Observation(None, None)}, {}).primary is None
