"""Ray's control store, and HAProxy, are killed under payments: those go on, and what died comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress

import aiohttp
import pytest
from ray._private.services import GCS_SERVER_EXECUTABLE

from cluster.ingress.environment import haproxy_binary
from tests.chaos.clients import client_of
from tests.chaos.killer import SHARD, Killer
from tests.chaos.steady import RATE_PER_S, SteadyPayments
from tests.e2e.gateway import RunningGateway

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.parametrize("kind", ["embedded"], indirect=True, scope="package"),
]

_BACK_WITHIN_S = 60.0
_SERVED_WITHIN_S = 3.0
_PAYMENTS = 300


async def _until_back(killer: Killer, title: str, former: set[int]) -> float:
    """Return after how many seconds as many others of a title run as did."""
    began = time.monotonic()
    async with asyncio.timeout(_BACK_WITHIN_S):
        while len(set(await asyncio.to_thread(killer.find, title)) - former) < len(former):
            await asyncio.sleep(0.1)
    return time.monotonic() - began


def _kill(pids: set[int]) -> None:
    for pid in pids:
        # Serve may have ended one that it has just replaced.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def _run(gateway: RunningGateway) -> None:
    killer = Killer(gateway.data_dir, 0)
    control_store = set(killer.find(GCS_SERVER_EXECUTABLE))
    assert len(control_store) == 1
    async with SteadyPayments(gateway) as payments:
        await payments.until_asked(_PAYMENTS)
        _kill(control_store)
        took_s = await _until_back(killer, GCS_SERVER_EXECUTABLE, control_store)
        await payments.until_asked(2 * _PAYMENTS)
        assert payments.answers.failures == []
        # That one runs again says little. That an actor which dies is started again, and the gateway with it, says all.
        shards = set(killer.find(SHARD))
        assert shards
        _kill(shards)
        shards_s = await _until_back(killer, SHARD, shards)
        await payments.until_asked(payments.answers.asked + _PAYMENTS)
        answers = await payments.end()
    print(f"control store back after {took_s:.1f} s, shards after {shards_s:.1f} s, {dict(answers.counts)}")
    # All shards at once are another matter: a change waits for them, and may be told later, or not begin.
    assert set(answers.counts) <= {"201", "202", "503"}, answers.failures
    assert len(answers.failures) < RATE_PER_S * (shards_s + 5)


@pytest.mark.timeout(300)
def test_payments_go_on_without_the_control_store(gateway: RunningGateway) -> None:
    """None fails, and Ray works as before: what it has to know, it has on disk."""
    asyncio.run(_run(gateway))


async def _served_after(gateway: RunningGateway, killed: set[int]) -> float:
    """Return after how many seconds a new connection is answered."""
    _kill(killed)
    began = time.monotonic()
    async with asyncio.timeout(_BACK_WITHIN_S):
        while True:
            async with client_of(gateway) as http:
                try:
                    async with http.get("/health/live") as answer:
                        # Until it has looked at a replica, it has none.
                        if answer.status == 200:
                            return time.monotonic() - began
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)


def test_a_killed_haproxy_is_missed_for_three_seconds_at_most(gateway: RunningGateway) -> None:
    """Its guard starts a stand-in, and Serve another one, which takes over without a refusal."""
    killer = Killer(gateway.data_dir, 0)
    haproxy = set(killer.find(str(haproxy_binary())))
    assert haproxy
    took_s = asyncio.run(_served_after(gateway, haproxy))
    print(f"served again after {took_s:.2f} s")
    assert took_s < _SERVED_WITHIN_S
