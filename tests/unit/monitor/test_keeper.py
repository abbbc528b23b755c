"""What a monitor must not forget is kept in a memory that may be away."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.monitor.alerts import AlertState
from actors.monitor.keeper import PATIENCE_S, SAVE_S, Keeper
from actors.monitor.memory import FileMemory
from actors.monitor.monitor import Monitor
from actors.monitor.silences import Silence
from tests.unit.monitor.makers import MINUTE, Fleet
from tests.unit.monitor.test_monitor import RULES, Load


class Memory:
    """Keeps text, or is away."""

    def __init__(self, text: bytes | None = None) -> None:
        self.text = text
        self.is_away = False

    async def load(self) -> bytes | None:
        """Return what was saved."""
        self._here()
        return self.text

    async def save(self, text: bytes) -> None:
        """Keep it."""
        self._here()
        self.text = text

    def _here(self) -> None:
        if self.is_away:
            raise ConnectionError("away")


async def test_it_saves_what_changed_at_once_and_the_rest_once_a_minute() -> None:
    """Not more often."""
    fleet, memory = Fleet(RULES), Memory()
    keeper = Keeper(fleet.monitor, memory, fleet.clock)
    await keeper.load()
    await keeper.save(frozenset(), changed=False)
    assert await memory.load() is None
    fleet.clock.advance(SAVE_S)
    await keeper.save(frozenset(), changed=False)
    first, memory.text = await memory.load(), None
    assert first is not None
    await keeper.save(frozenset(), changed=True)
    assert await memory.load() is not None


async def test_what_could_not_be_read_is_not_written_over() -> None:
    """While the memory is away nobody is told for a while, and then all the same; what it held is taken up later."""
    fleet = Fleet(RULES)
    memory = Memory()
    fleet.monitor.silence(Silence("s", "Other", (), fleet.clock.now() + 10 * MINUTE, "key_1", "known"))
    await Keeper(fleet.monitor, memory, fleet.clock).load()
    before = Keeper(fleet.monitor, memory, fleet.clock)
    await before.load()
    await before.save(frozenset())
    held = memory.text

    after = Monitor(RULES, fleet.clock.monotonic())
    keeper, memory.is_away = Keeper(after, memory, fleet.clock), True
    await keeper.load()
    told_at_once = keeper.may_tell
    assert not told_at_once
    memory.is_away = False
    await keeper.save(frozenset())
    assert memory.text == held
    fleet.clock.advance(PATIENCE_S)
    assert keeper.may_tell
    await keeper.load()
    assert [silence.id for silence in after.alerts().silences] == ["s"]


async def test_what_cannot_be_understood_is_written_over(caplog: pytest.LogCaptureFixture) -> None:
    """It is lost, and the log says so."""
    fleet, memory = Fleet(RULES), Memory(b"rubbish")
    keeper = Keeper(fleet.monitor, memory, fleet.clock)
    await keeper.load()
    assert keeper.may_tell
    assert "cannot be read" in caplog.text
    await keeper.save(frozenset())
    assert memory.text != b"rubbish"


def test_an_alert_that_was_on_its_way_is_told_again_after_a_restart() -> None:
    """One that had arrived is not; and one whose end was on its way has its end told."""
    fleet, load = Fleet(RULES), Load()
    load.errors = 0.3
    fleet.run(20, load)
    (alert,) = [each for each in fleet.delivered if each.name == "ErrorRateHigh"]

    def told_after(undelivered: set[str]) -> list[AlertState]:
        now, wall = fleet.clock.monotonic(), fleet.clock.now()
        monitor = Monitor(RULES, now)
        monitor.take_up(fleet.monitor.save(now, wall, undelivered), now, wall)
        return [each.state for each in monitor.news()]

    assert told_after(set()) == []
    assert told_after({alert.id}) == [AlertState.FIRING]
    load.errors = 0.0
    fleet.run(30, load)
    assert told_after(set()) == []
    assert told_after({alert.id}) == [AlertState.RESOLVED]


async def test_a_file_is_there_whole(tmp_path: Path) -> None:
    """Or not at all."""
    memory = FileMemory(tmp_path / "monitor.json")
    assert await memory.load() is None
    for text in (b"first", b"second"):
        await memory.save(text)
        assert await memory.load() == text
    assert _names(tmp_path) == ["monitor.json"]


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]
