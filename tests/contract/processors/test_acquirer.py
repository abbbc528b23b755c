"""The acquirer between arrival and answer, on its real ledger and a clock that is let go by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from serve_app.processors.acquirer.ledger import Command, Ledger, Perform, Reply
from serve_app.processors.acquirer.service import OVERLOADED, Acquirer
from serve_app.processors.acquirer.writer import LedgerWriter
from serve_app.processors.journey import Itinerary
from serve_app.processors.protocol import Approved, NotFound, Pending, ProcessorRequest, Refused
from serve_app.processors.slots import Slots

MakeRequest = Callable[..., ProcessorRequest]


class Gate:
    """Hold everyone who sleeps until it is opened; `arrived` is set by the first."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self._open = asyncio.Event()

    async def __call__(self, pause_s: float) -> None:
        self.arrived.set()
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[LedgerWriter]:
    made = LedgerWriter(Ledger(tmp_path / "ledger.db"))
    yield made
    await made.close()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def acquirer(writer: LedgerWriter, gate: Gate) -> Acquirer:
    itinerary = Itinerary(latency_ms=200, jitter_ms=0, failure_rate=0, seed=0)
    return Acquirer(writer, itinerary, Slots(1, queue_max=1), sleep=gate)


async def test_pending_until_the_commit(acquirer: Acquirer, gate: Gate, make_request: MakeRequest) -> None:
    """During the first delay a lookup says pending."""
    request = make_request()
    performed = asyncio.create_task(acquirer.perform(request))
    await gate.arrived.wait()
    assert await acquirer.lookup(request.attempt_id) == Pending()
    gate.open()
    report = await performed
    assert await acquirer.lookup(request.attempt_id) == report.outcome


async def test_refusal_waits_for_the_commit(acquirer: Acquirer, gate: Gate, make_request: MakeRequest) -> None:
    """A refusal of an attempt at work answers what it came to."""
    request = make_request()
    performed = asyncio.create_task(acquirer.perform(request))
    await gate.arrived.wait()
    refused = asyncio.create_task(acquirer.refuse(request.attempt_id))
    gate.open()
    assert await refused == (await performed).outcome


async def test_overload_is_turned_away_undone(acquirer: Acquirer, gate: Gate, make_request: MakeRequest) -> None:
    """Past the slot and its queue an operation is refused at once and leaves no trace."""
    busy = [asyncio.create_task(acquirer.perform(make_request())) for _ in range(2)]
    await gate.arrived.wait()
    turned_away = make_request()
    assert (await acquirer.perform(turned_away)).outcome == OVERLOADED
    assert await acquirer.lookup(turned_away.attempt_id) == NotFound()
    gate.open()
    reports = await asyncio.gather(*busy)
    assert all(isinstance(report.outcome, Approved) for report in reports)


async def test_queued_attempt_can_be_refused(acquirer: Acquirer, gate: Gate, make_request: MakeRequest) -> None:
    """An attempt that still waits for a slot can be refused and is then not performed."""
    first = asyncio.create_task(acquirer.perform(make_request()))
    await gate.arrived.wait()
    queued = make_request()
    second = asyncio.create_task(acquirer.perform(queued))
    assert await acquirer.refuse(queued.attempt_id) == Refused()
    gate.open()
    assert isinstance((await first).outcome, Approved)
    assert (await second).outcome == await acquirer.lookup(queued.attempt_id)


async def test_commands_gather_while_a_batch_commits(tmp_path: Path, make_request: MakeRequest) -> None:
    """A hundred commands at once take two commits, not a hundred."""
    batches: list[int] = []

    class CountingLedger(Ledger):
        def apply(self, commands: list[Command]) -> list[Reply]:  # type: ignore[override]
            batches.append(len(commands))
            return super().apply(commands)

    writer = LedgerWriter(CountingLedger(tmp_path / "counted.db"), batch_max=512)
    replies = await asyncio.gather(*(writer.submit(Perform(make_request())) for _ in range(100)))
    await writer.close()
    assert all(isinstance(reply, Approved) for reply in replies)
    assert sum(batches) == 100
    assert len(batches) <= 2


async def test_failed_commit_fails_its_batch_alone(tmp_path: Path, make_request: MakeRequest) -> None:
    """A commit that breaks is told to those whose commands it held, and the batches behind it go on."""
    writer = LedgerWriter(Ledger(tmp_path / "ledger.db"), batch_max=1)
    commands = [Perform(make_request(amount_minor=amount_minor)) for amount_minor in (1, 2**70, 2)]
    replies = await asyncio.gather(*map(writer.submit, commands), return_exceptions=True)
    await writer.close()
    assert [type(reply) for reply in replies] == [Approved, OverflowError, Approved]
