"""HAProxy or its manager dies, and the public port is served on."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from cluster.ingress.takeover import answering_pid, stand_in_socket
from tests.integration.ingress.client import WAIT_S, exchange
from tests.integration.ingress.conftest import Ingress


async def _served(ingress: Ingress) -> float:
    """Return after how many seconds the ingress answers again."""
    began = time.monotonic()
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                reply = await ingress.request()
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)
                continue
            assert reply.status == 200
            return time.monotonic() - began


async def _until_started(ingress: Ingress) -> None:
    """Wait out the first second, in which an end of HAProxy counts as a failure to start."""
    began = time.monotonic()
    while time.monotonic() - began < 1.2:
        assert (await ingress.request()).status == 200
        await asyncio.sleep(0.1)


async def _until_gone(pid: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.02)


async def _kill_manager(ingress: Ingress) -> None:
    assert ingress.manager is not None
    ingress.manager.kill()
    await ingress.manager.wait()


async def test_a_stand_in_serves_where_haproxy_is_killed(ingress: Ingress) -> None:
    """A killed HAProxy is replaced at once, but Serve still finds its own one dead."""
    await ingress.start()
    await _until_started(ingress)
    os.kill(ingress.pid, signal.SIGKILL)
    assert await _served(ingress) < 3
    assert answering_pid(ingress.admin) is None
    assert answering_pid(stand_in_socket(ingress.admin)) not in (None, ingress.pid)


async def test_the_next_haproxy_takes_over_from_the_stand_in(ingress: Ingress) -> None:
    """When Serve has started another HAProxy the stand-in ends, and nobody is turned away."""
    await ingress.start()
    await _until_started(ingress)
    os.kill(ingress.pid, signal.SIGKILL)
    await _served(ingress)
    stand_in = answering_pid(stand_in_socket(ingress.admin))
    assert stand_in is not None
    await _kill_manager(ingress)
    await _replaced_without_a_refusal(ingress)
    await _until_gone(stand_in)


async def test_haproxy_outlives_its_manager_until_the_next(ingress: Ingress) -> None:
    """Where the manager is killed HAProxy serves on, and the next manager's HAProxy takes its place."""
    await ingress.start()
    first = ingress.pid
    await _kill_manager(ingress)
    assert (await ingress.request()).status == 200
    await _replaced_without_a_refusal(ingress)
    await _until_gone(first)


async def _replaced_without_a_refusal(ingress: Ingress) -> None:
    """Start HAProxy as a new manager does, with no application yet, under requests that may not fail."""
    stop = asyncio.Event()

    async def keep_asking() -> int:
        asked = 0
        while not stop.is_set():
            assert (await ingress.request()).status == 200
            asked += 1
        return asked

    asking = asyncio.create_task(keep_asking())
    ingress.write_config(applications=False)
    await ingress.start()
    stop.set()
    assert await asking > 0
    assert (await ingress.request()).status == 200


async def test_a_reload_leaves_one_haproxy(ingress: Ingress) -> None:
    """A reload ends the former HAProxy, lets a kept connection finish, and no stand-in appears."""
    await ingress.start()
    await _until_started(ingress)
    first = ingress.pid
    reader, writer = await ingress.connect()
    await exchange(reader, writer)
    first_manager = ingress.manager
    assert first_manager is not None
    ingress.write_config()
    await ingress.start(None, "-sf", str(first), "-x", str(ingress.admin))
    assert (await exchange(reader, writer)).headers["connection"] == "close"
    writer.close()
    await _until_gone(first)
    first_manager.kill()
    await first_manager.wait()
    assert answering_pid(stand_in_socket(ingress.admin)) is None
    assert answering_pid(ingress.admin) == ingress.pid


@pytest.mark.slow
async def test_an_orphan_ends(ingress: Ingress) -> None:
    """HAProxy does not outlive its manager for long where no other comes."""
    await ingress.start()
    await _kill_manager(ingress)
    await _until_gone(ingress.pid)


async def test_haproxy_that_cannot_start_has_no_stand_in(ingress: Ingress) -> None:
    """A HAProxy that ends at once is not tried again behind Serve's back."""
    ingress.config.write_text(ingress.config.read_text().replace("balance leastconn", "balance nonsense"))
    with pytest.raises(AssertionError, match="balance only supports"):
        await ingress.start()
    assert answering_pid(stand_in_socket(ingress.admin)) is None
