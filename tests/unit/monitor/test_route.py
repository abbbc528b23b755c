"""A process tells the monitor or its node's relay, as the monitor says, and the monitor while it has no relay."""

from __future__ import annotations

import asyncio

import pytest

from actors.monitor.instruments import Instruments
from actors.monitor.messages import Batch, ProcessGauges, Reply
from actors.monitor.processes import RELAY_FROM, SILENT_AFTER_S, Processes, wants_relay
from actors.monitor.route import FIND_AGAIN_S, Route
from actors.runtime.errors import OutcomeUnknown, Unavailable


class Twin:
    """The monitor or a relay, which hears what it is told, and answers or fails as it is told to."""

    def __init__(self) -> None:
        self.heard = 0
        self.answer: Reply | Exception = Reply(heard=True, relay=True)

    async def report(self, _batch: Batch) -> Reply:
        """Hear."""
        if isinstance(self.answer, Exception):
            raise self.answer
        self.heard += 1
        return self.answer


class Way:
    """A route, and both that it leads to, in virtual time."""

    def __init__(self) -> None:
        self.monitor, self.relay = Twin(), Twin()
        self.found: list[Exception | None] = []
        self.now = 100.0
        self.route = Route(self.monitor, self._find, clock=lambda: self.now)

    async def _find(self) -> Twin:
        fault = self.found.pop(0)
        if fault is not None:
            raise fault
        return self.relay

    async def tell(self, times: int = 1) -> tuple[int, int]:
        """Tell batches; return how many the monitor heard, and how many the relay did."""
        self.monitor.heard = self.relay.heard = 0
        for _ in range(times):
            await self.route.report(Instruments("p", "n").take())
            # What looks for the relay has a turn.
            await asyncio.sleep(0)
        return self.monitor.heard, self.relay.heard


@pytest.mark.parametrize(
    ("processes", "nodes", "wants"),
    [(1000, 1, False), (RELAY_FROM, 2, True), (RELAY_FROM - 1, 2, False), (0, 0, False)],
)
def test_a_node_gets_a_relay_where_it_is_not_alone_and_has_processes(processes: int, nodes: int, wants: bool) -> None:
    """A single node never has one, however many processes it has."""
    assert wants_relay(processes, nodes) is wants


def test_processes_are_counted_by_their_nodes() -> None:
    """Those that are heard, once each, and where they were heard last; a node without any is none."""
    processes = Processes()
    for number, node in enumerate(("a", "a", "b")):
        processes.hear(ProcessGauges(f"p{number}", node, {}), 0.0)
        processes.hear(ProcessGauges(f"p{number}", node, {}), 0.0)
    assert (processes.nodes, processes.of_node("a"), processes.of_node("b")) == (2, 2, 1)
    processes.hear(ProcessGauges("p2", "a", {}), SILENT_AFTER_S)
    assert (processes.nodes, processes.of_node("a"), processes.of_node("b")) == (1, 3, 0)
    processes.forget_silent(SILENT_AFTER_S + 1)
    assert (processes.nodes, processes.of_node("a")) == (1, 1)


async def test_it_goes_through_the_relay_from_when_there_is_one() -> None:
    """And directly until then, and again when the monitor says so."""
    way = Way()
    way.found = [None]
    assert await way.tell(3) == (1, 2)
    way.relay.answer = Reply(heard=True, relay=False)
    assert await way.tell() == (0, 1)
    way.monitor.answer = Reply(heard=True, relay=False)
    assert await way.tell(3) == (3, 0)


async def test_a_relay_that_is_lost_is_looked_for_again_and_the_monitor_told_meanwhile() -> None:
    """Not more than once in some seconds."""
    way = Way()
    way.found = [None, RuntimeError("no room"), None]
    await way.tell()
    way.relay.answer = OutcomeUnknown("relay.report", "lost")
    with pytest.raises(OutcomeUnknown):
        await way.tell()
    assert await way.tell(3) == (3, 0)
    way.now += FIND_AGAIN_S
    assert await way.tell(3) == (3, 0)
    way.relay.answer = Reply(heard=True, relay=True)
    way.now += FIND_AGAIN_S
    assert await way.tell(3) == (1, 2)


async def test_a_relay_that_the_monitor_does_not_hear_is_no_reason_to_leave_it() -> None:
    """All processes of a cluster would tell the next monitor directly as it starts."""
    way = Way()
    way.found = [None]
    await way.tell()
    way.relay.answer = Reply(heard=False, relay=True)
    assert await way.tell(2) == (0, 2)


async def test_a_monitor_that_is_away_is_told_again() -> None:
    """Its failure is the caller's to see."""
    way = Way()
    way.monitor.answer = Unavailable("monitor", "away", 1.0)
    with pytest.raises(Unavailable):
        await way.tell()
    way.monitor.answer = Reply(heard=True, relay=False)
    assert await way.tell() == (1, 0)


async def test_a_route_that_is_closed_looks_no_longer() -> None:
    """However long it takes to find a relay."""
    never = asyncio.Event()
    route = Route(Twin(), lambda: never.wait())  # type: ignore[arg-type, return-value]
    await route.report(Instruments("p", "n").take())
    await asyncio.sleep(0)
    await route.close()
    await route.close()
    assert len(asyncio.all_tasks()) == 1
