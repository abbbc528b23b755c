"""Processes of the monitor's machine tell it by a socket: everything arrives, and what is broken is told by a call."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from actors.monitor import inlet as module
from actors.monitor.inlet import Inlet, InletPort
from actors.monitor.instruments import Instruments
from actors.monitor.messages import Batch, Reply
from actors.monitor.route import Route
from actors.runtime.errors import Overloaded, Unavailable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")


class Heard:
    """A monitor that hears what it is told, and fails or hangs as it is told to."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.called = 0
        self.inlet = Inlet(self.take)
        self.other_name = ""
        self.fault: Exception | None = None
        self.hangs = asyncio.Event()
        self.hangs.set()

    async def take(self, batch: Batch) -> Reply:
        """Hear."""
        await self.hangs.wait()
        if self.fault is not None:
            raise self.fault
        self.batches.append(batch)
        return Reply(heard=True, relay=False, inlet=self.other_name or self.inlet.name)

    async def report(self, batch: Batch) -> Reply:
        """Be called."""
        self.called += 1
        return await self.take(batch)


@pytest.fixture
async def heard() -> AsyncIterator[Heard]:
    """Open a monitor's socket."""
    monitor = Heard()
    await monitor.inlet.open()
    yield monitor
    await monitor.inlet.close()


async def _no_relay() -> Heard:
    raise AssertionError


def _route(heard: Heard) -> Route:
    return Route(heard, _no_relay)


def _batch(count: int = 1) -> Batch:
    instruments = Instruments("p", "n")
    for value in range(count):
        instruments.record("seconds", 0.001 * (1 + value))
        instruments.count("requests_total", route="/v1/payments")
    return instruments.take()


async def test_the_first_report_is_a_call_and_all_others_go_by_the_socket(heard: Heard) -> None:
    """And are what was told."""
    route = _route(heard)
    told = [_batch(count) for count in range(1, 6)]
    for batch in told:
        assert (await route.report(batch)).heard
    await route.close()
    assert heard.called == 1
    assert [batch.counters for batch in heard.batches] == [batch.counters for batch in told]
    assert [next(iter(batch.histograms.values())).count for batch in heard.batches] == [1, 2, 3, 4, 5]


async def test_a_monitor_that_starts_anew_is_called_and_says_where_its_socket_is(heard: Heard) -> None:
    """One report fails, and is told again by a call."""
    route, again = _route(heard), Heard()
    for _ in range(2):
        await route.report(_batch())
    await heard.inlet.close()
    heard.inlet = again.inlet
    heard.fault = RuntimeError("it ends")
    with pytest.raises(Unavailable):
        await route.report(_batch())
    heard.fault = None
    await again.inlet.open()
    for _ in range(3):
        await route.report(_batch())
    assert (heard.called, len(again.batches)) == (2, 2)
    await route.close()
    await again.inlet.close()


async def test_a_socket_that_is_not_there_is_tried_once(heard: Heard) -> None:
    """As that of a monitor on another machine: every report is a call."""
    heard.other_name = "another-machine-s"
    route = _route(heard)
    for _ in range(3):
        await route.report(_batch())
    assert heard.called == 3


async def test_after_a_slow_answer_the_socket_is_used_again(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a call was answered."""
    route = _route(heard)
    await route.report(_batch())
    monkeypatch.setattr(module, "REPORT_TIMEOUT_S", 0.05)
    heard.hangs.clear()
    with pytest.raises(Unavailable):
        await route.report(_batch())
    heard.hangs.set()
    monkeypatch.undo()
    for _ in range(3):
        await route.report(_batch())
    assert heard.called == 2
    await route.close()


async def test_one_that_does_not_answer_is_left_in_time(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an answer that comes later is not taken for that to another batch."""
    monkeypatch.setattr(module, "REPORT_TIMEOUT_S", 0.05)
    port = InletPort(heard.inlet.name)
    await port.open()
    heard.hangs.clear()
    with pytest.raises(Unavailable, match="TimeoutError"):
        await port.report(_batch())
    heard.hangs.set()
    with pytest.raises(Unavailable, match="not connected"):
        await port.report(_batch())


async def test_what_is_no_frame_ends_that_connection_alone(heard: Heard) -> None:
    """Not the monitor, nor what others tell it."""
    port = InletPort(heard.inlet.name)
    await port.open()
    for nonsense in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x04nope", b"\x00"):
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.connect("\0" + heard.inlet.name)
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(connected, nonsense)
        if len(nonsense) > 1:
            assert await asyncio.get_running_loop().sock_recv(connected, 1) == b""
        connected.close()
    assert (await port.report(_batch())).heard
    port.close()


async def test_a_process_of_another_user_is_not_heard(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor told anything: what is unpickled is a program."""
    monkeypatch.setattr(module, "_is_ours", lambda _: False)
    with pytest.raises(Unavailable, match="another user"):
        await InletPort(heard.inlet.name).open()
    reader, writer = await asyncio.open_unix_connection("\0" + heard.inlet.name)
    assert await reader.read() == b""
    writer.close()


async def test_a_batch_that_is_too_large_is_not_sent(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be refused; a call may have it."""
    monkeypatch.setattr(module, "FRAME_MAX_BYTES", 100)
    port = InletPort(heard.inlet.name)
    await port.open()
    with pytest.raises(Overloaded):
        await port.report(_batch())
    with pytest.raises(Unavailable):
        await port.report(_batch())
