"""Two gateways on one database: one budget of connections, and no stale read, also while the second comes and goes.

`EASYPAY_TEST_TWO_CLUSTERS=1` has it run, `EASYPAY_TEST_SHARED_REDIS=1` with one Redis for both.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession

from tests.chaos.clients import client_of, pay
from tests.chaos.connections import Connections
from tests.chaos.near_reads import NearReads
from tests.chaos.reader import Failure, Reader
from tests.chaos.seeds import printed_seed
from tests.chaos.writer import Order, Writer
from tests.e2e.gateway import RunningGateway, down, easypay, logged_incidents, up
from tests.support.history import History
from tests.support.ports import free_port
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.redis_servers import TestRedis
from tests.support.started import started

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.slow]

_SECONDS = float(os.environ.get("EASYPAY_TEST_SECONDS", "20"))
_BUDGET = 24
_PAYMENTS, _READERS, _WRITERS = 30, 6, 4
_ALONE_AGAIN_WITHIN_S = 30.0

Leave = Callable[[RunningGateway], Awaitable[None]]


@pytest.fixture(scope="module")
def server() -> Iterator[TestPostgres]:
    """Run the database that both are on."""
    with started(TestPostgres()) as server:
        asyncio.run(server.create_schema())
        yield server


@pytest.fixture
def environment(server: TestPostgres) -> Iterator[dict[str, str]]:
    """Return the settings of both gateways: the same keys, and one Redis where that is asked for."""
    settings = {
        "DATABASE_URL": server.url(APP_ROLE),
        "DATABASE_OWNER_URL": server.url(),
        "DATABASE_POOL_SIZE": str(_BUDGET),
        "DATABASE_MAX_OVERFLOW": "0",
        "API_KEY_PEPPER": secrets.token_urlsafe(32),
        "SEALING_KEY": secrets.token_urlsafe(32),
        "RATE_LIMIT_PER_MINUTE": "0",
        "QUERY_OPTIMIZER": "off",
        "TASK_WORKERS": "1",
    }
    with ExitStack() as servers:
        if os.environ.get("EASYPAY_TEST_SHARED_REDIS"):
            settings["REDIS_URL"] = servers.enter_context(started(TestRedis())).url
        yield settings


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    """Return the data directories of the two; what runs on them is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="easypay-two-") as folder:
        first, second = Path(folder) / "a", Path(folder) / "b"
        try:
            yield first, second
        finally:
            for each in (first, second):
                if each.exists():
                    down(each)


class _Load:
    """Clients of one gateway, which read and change payments that another's clients read and change as well."""

    def __init__(self, http: ClientSession, name: str, seed: int, history: History) -> None:
        self.readers = [Reader(http, f"{name} reader {n}", seed * 1000 + n, history) for n in range(_READERS)]
        self.writers = [Writer(http, f"{name} writer {n}", seed * 1000 - n, history) for n in range(_WRITERS)]

    async def run(self, orders: list[Order], done: asyncio.Event) -> None:
        """Read and write until the event."""
        names = [order.payment_id for order in orders]
        await asyncio.gather(
            *(reader.read_all(names, done) for reader in self.readers),
            *(writer.write_all(orders, done) for writer in self.writers),
        )

    @property
    def failures(self) -> list[Failure]:
        """Reads that had no state in their answer."""
        return [failure for reader in self.readers for failure in reader.failures]

    @property
    def unexpected(self) -> list[str]:
        """Answers to changes that nothing explains."""
        return [each for writer in self.writers for each in writer.unexpected]

    @property
    def answers(self) -> Counter[str]:
        """Answers to changes by their status."""
        return sum((writer.answers for writer in self.writers), Counter())


async def _start(folder: Path, environment: Mapping[str, str]) -> RunningGateway:
    return await asyncio.to_thread(up, folder, "--port", str(free_port()), "--replicas", "1", **environment)


async def _clusters(gateway: RunningGateway) -> list[dict[str, object]]:
    """Return the clusters as an operator is told of them."""
    shown = await asyncio.to_thread(easypay, "db", "pool", "show", "--json", "--data-dir", str(gateway.data_dir))
    assert shown.returncode == 0, shown.stderr
    clusters: list[dict[str, object]] = json.loads(shown.stdout)["clusters"]
    return clusters


async def _until_near(near: NearReads) -> float:
    """Wait until the gateway answers from what its processes hold near; return after how long it did."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await near.look()
    before = near.counts["near_hit"]
    async with asyncio.timeout(_ALONE_AGAIN_WITHIN_S):
        while near.counts["near_hit"] <= before:
            await asyncio.sleep(0.1)
            await near.look()
    return loop.time() - began


async def _killed(gateway: RunningGateway) -> None:
    """End everything of a gateway at once: it does not sign off."""
    launcher = psutil.Process(int(gateway.facts["pid"]))
    everything = [*launcher.children(recursive=True), launcher]
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    await asyncio.to_thread(psutil.wait_procs, everything, 20)


async def _come_and_go(
    folders: tuple[Path, Path], environment: dict[str, str], server: TestPostgres, leave: Leave
) -> None:
    seed, loop = printed_seed(), asyncio.get_running_loop()
    history, connections = History(), Connections(server.url())
    first = await _start(folders[0], environment)
    over, leaving = asyncio.Event(), asyncio.Event()
    async with client_of(first) as http, asyncio.TaskGroup() as tasks:
        tasks.create_task(connections.watch(over))
        paid = [await pay(http, capture=number % 2 == 0) for number in range(_PAYMENTS)]
        orders = [Order(payment["id"], payment["status"] == "captured") for payment in paid]
        load = _Load(http, "a", seed, history)
        tasks.create_task(load.run(orders, over))
        near = NearReads(http, str(first.facts["admin_key"]))
        await _until_near(near)
        assert [cluster["share"] for cluster in await _clusters(first)] == [_BUDGET]
        second = await _start(folders[1], environment)
        # The merchant's key of the first is good at the second: both have the same pepper.
        both = RunningGateway(second.data_dir, {**second.facts, "api_key": first.api_key})
        async with client_of(both) as other:
            beside = _Load(other, "b", seed + 1, history)
            shared = asyncio.create_task(beside.run(orders, leaving))
            began = loop.time()
            await near.look()
            hits = near.counts["near_hit"]
            while loop.time() < began + _SECONDS:
                assert [cluster["share"] for cluster in await _clusters(first)] == [_BUDGET // 2] * 2
                await asyncio.sleep(1)
            await near.look()
            assert near.counts["near_hit"] == hits, "something was served from a cache"
            leaving.set()
            await shared
        await leave(second)
        back_s = await _until_near(near)
        assert [cluster["share"] for cluster in await _clusters(first)] == [_BUDGET]
        await asyncio.sleep(3)
        over.set()
    violations = history.violations()
    print(f"{history.read_count} entries read, {len(violations)} stale", *violations[:10], sep="\n")
    print(f"connections: {connections.most} at most in {connections.looks} looks, of each {connections.most_of}")
    print(f"first: {dict(load.answers)}, second: {dict(beside.answers)}; it caches again after {back_s:.1f} s")
    assert violations == []
    assert connections.most <= _BUDGET
    assert len(connections.most_of) == 2
    for each, gateway in ((load, first), (beside, second)):
        assert each.failures == [], (each.failures[:3], logged_incidents(gateway.data_dir))
        assert each.unexpected == [], logged_incidents(gateway.data_dir)
        assert sum(each.answers.values()) > 0


async def _stopped(gateway: RunningGateway) -> None:
    await asyncio.to_thread(down, gateway.data_dir)


@pytest.mark.timeout(_SECONDS + 280)
@pytest.mark.parametrize("leave", [_stopped, _killed], ids=["stopped", "killed"])
def test_a_second_gateway_comes_and_goes(
    folders: tuple[Path, Path], environment: dict[str, str], server: TestPostgres, leave: Leave
) -> None:
    """Both together never have more connections than the budget, no read through either is stale, none fails; and the
    first caches again once it is alone: at once after a stop, and once the lease has run out of one that was killed."""
    asyncio.run(_come_and_go(folders, environment, server, leave))
