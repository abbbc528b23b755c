"""A gateway whose PostgreSQL has a replica: lists come from it, nobody misses his own payments, and it takes over."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import asyncpg
import httpx
import pytest

from cluster.data_dir import DataDir
from cluster.embedded.account import servers_account
from cluster.embedded.postgres import connect, sockets_folder
from tests.e2e.gateway import TEST_ENVIRONMENT, TEST_OPTIONS, RunningGateway, easypay, running_gateway
from tests.e2e.merchant import Merchant, new_merchant
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow]
_SECONDS = float(os.environ.get("EASYPAY_TEST_SECONDS", "8"))
_MERCHANTS = 4


@pytest.fixture(scope="module")
def replicated() -> Iterator[RunningGateway]:
    """Run a gateway with a synchronous replica."""
    options = (*TEST_OPTIONS, "--db-replicas", "1", "--synchronous")
    # As few processes as there can be: the rest is of no interest here.
    with running_gateway(*options, **TEST_ENVIRONMENT, TASK_WORKERS="1", CACHE_SHARDS="1") as running:
        yield running


def _servers(gateway: RunningGateway) -> dict[str, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {gateway.facts['admin_key']}"}
    answer = httpx.get(f"{gateway.url}/ops/api/database/servers", headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return {server["state"]: server for server in answer.json()["servers"]}


def _reads(gateway: RunningGateway) -> dict[str, float]:
    """Return the reads that a replica may answer, by the server that did."""
    headers = {"Authorization": f"Bearer {gateway.facts['admin_key']}"}
    found: dict[str, float] = {}
    for line in httpx.get(f"{gateway.url}/metrics", headers=headers, timeout=30).text.splitlines():
        if line.startswith("easypay_database_reads_total{"):
            server = line.split('server="')[1].split('"')[0]
            found[server] = found.get(server, 0.0) + float(line.rpartition(" ")[2])
    return found


def _come_from_both(reads: dict[str, float]) -> bool:
    replicas = sum(count for server, count in reads.items() if server != "primary")
    return reads.get("primary", 0) > 0 and replicas > 0


def _has_fit_replica(servers: dict[str, dict[str, Any]]) -> bool:
    return "primary" in servers and "replica" in servers and servers["replica"]["excluded"] is None


def _delayed(gateway: RunningGateway, stopped: threading.Event) -> None:
    """Pause replay for up to two seconds, again and again."""
    data = DataDir(gateway.data_dir)
    port = json.loads(data.ports_file.read_text(encoding="utf-8"))["postgres-2"][0]

    async def run() -> None:
        replica: asyncpg.Connection = await connect(data, sockets_folder(data, servers_account()), port)
        while not stopped.is_set():
            await replica.execute("SELECT pg_wal_replay_pause()")
            await asyncio.to_thread(stopped.wait, 1.9)
            await replica.execute("SELECT pg_wal_replay_resume()")
            await asyncio.to_thread(stopped.wait, 1.0)
        await replica.close()

    asyncio.run(run())


def _pay_and_list(merchant: Merchant, until: float) -> int:
    """Pay and list by turns, on connections of their own, so that any replica of the gateway answers either."""
    count = 0
    while time.monotonic() < until:
        paid = _anew(merchant, lambda client: client.pay())
        assert paid.status_code == 201, paid.text
        listed = _anew(merchant, lambda client: client.get("/v1/payments", limit=1))
        assert listed.status_code == 200, listed.text
        assert [payment["id"] for payment in listed.json()["data"]] == [paid.json()["id"]], "a stale list"
        # Who has not written since: from the replica, however late that is.
        assert _anew(merchant, lambda client: client.get("/v1/payments", limit=2)).status_code == 200
        count += 1
    return count


def _anew(merchant: Merchant, ask: Callable[[Merchant], httpx.Response]) -> httpx.Response:
    with Merchant(str(merchant.http.base_url), merchant.api_key) as client:
        return ask(client)


@pytest.mark.timeout(600)
def test_lists_come_from_the_replica_and_show_own_payments(replicated: RunningGateway) -> None:
    """While its replay is held up, with two replicas of the gateway and no token."""
    eventually(lambda: _servers(replicated), _has_fit_replica, within_s=30)
    stopped = threading.Event()
    with ExitStack() as opened, ThreadPoolExecutor(_MERCHANTS + 1) as threads:
        merchants = [opened.enter_context(new_merchant(replicated)) for _ in range(_MERCHANTS)]
        delaying = threads.submit(_delayed, replicated, stopped)
        until = time.monotonic() + _SECONDS
        try:
            counts = list(threads.map(lambda merchant: _pay_and_list(merchant, until), merchants))
        finally:
            stopped.set()
        delaying.result()
    # What was counted is told some times a second.
    reads = eventually(lambda: _reads(replicated), _come_from_both, within_s=10)
    print(f"{sum(counts)} payments listed at once, none missed; reads by server: {reads}")


def _replica_pid(gateway: RunningGateway) -> int | None:
    try:
        lines = (gateway.data_dir / "postgres-2" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    return int(lines[0])


def _pay_until(gateway: RunningGateway, stopped: threading.Event, acknowledged: list[tuple[float, str]]) -> None:
    """Pay, each payment until it is acknowledged; nothing but what says so may be answered meanwhile."""
    with Merchant(gateway.url, gateway.api_key) as merchant:
        while not stopped.is_set():
            key = uuid.uuid4().hex
            answer = merchant.pay(key)
            while answer.status_code != 201 and not stopped.is_set():
                assert answer.status_code in {202, 409, 429, 503, 504}, answer.text
                stopped.wait(0.1)
                answer = merchant.pay(key)
            if answer.status_code == 201:
                acknowledged.append((time.monotonic(), answer.json()["id"]))


@contextmanager
def _paying(gateway: RunningGateway, clients: int = 4) -> Iterator[list[tuple[float, str]]]:
    """Have clients pay; give the list of when which payment was acknowledged."""
    stopped = threading.Event()
    acknowledged: list[tuple[float, str]] = []
    with ThreadPoolExecutor(clients) as threads:
        paying = [threads.submit(_pay_until, gateway, stopped, acknowledged) for _ in range(clients)]
        try:
            yield acknowledged
        finally:
            stopped.set()
        for each in paying:
            each.result()


def _gap_s(acknowledged: list[tuple[float, str]], since: float) -> float:
    """Return the longest time between two payments."""
    times = sorted(at for at, _ in acknowledged if at >= since - 1)
    return max(later - earlier for earlier, later in pairwise(times))


def _assert_all_captured(gateway: RunningGateway, acknowledged: list[tuple[float, str]]) -> None:
    with Merchant(gateway.url, gateway.api_key) as merchant:
        for _, payment_id in acknowledged:
            assert merchant.payment(payment_id)["status"] == "captured"


@pytest.mark.timeout(600)
def test_a_replica_that_is_killed_is_missed_by_nobody_and_comes_back(replicated: RunningGateway) -> None:
    """Lists are answered by the primary; a commit that waits for the replica's copy waits until it is started again."""
    before = eventually(lambda: _servers(replicated), _has_fit_replica, within_s=30)
    with _paying(replicated) as acknowledged, new_merchant(replicated) as merchant:
        eventually(lambda: len(acknowledged), lambda count: count > 50, within_s=30)
        killed_at, victim, known = time.monotonic(), _replica_pid(replicated), len(acknowledged)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        while len(acknowledged) <= known + 50:
            assert _anew(merchant, lambda client: client.get("/v1/payments", limit=2)).status_code == 200
            assert time.monotonic() < killed_at + 60
        eventually(lambda: _replica_pid(replicated), lambda pid: pid not in {None, victim}, within_s=30)
        after = eventually(lambda: _servers(replicated), _has_fit_replica, within_s=60)
        back_s = time.monotonic() - killed_at
    print(f"no payment for {_gap_s(acknowledged, killed_at):.2f} s; the replica is read again after {back_s:.1f} s")
    assert after["replica"]["name"] == before["replica"]["name"]
    assert _gap_s(acknowledged, killed_at) < 30
    _assert_all_captured(replicated, acknowledged)


@pytest.mark.timeout(600)
def test_payments_go_on_after_a_promotion_and_none_is_lost(replicated: RunningGateway) -> None:
    """What was acknowledged is there, within ten seconds new ones are taken, and the old primary is a replica."""
    before = eventually(lambda: _servers(replicated), _has_fit_replica, within_s=30)
    with _paying(replicated) as acknowledged:
        eventually(lambda: len(acknowledged), lambda count: count > 50, within_s=30)
        asked_at = time.monotonic()
        promoted = easypay("db", "promote", "--json", "--data-dir", str(replicated.data_dir))
        assert promoted.returncode == 0, promoted.stderr
        done_at, known = time.monotonic(), len(acknowledged)
        eventually(lambda: len(acknowledged), lambda count: count > known + 50, within_s=30)
    gap_s = _gap_s(acknowledged, asked_at)
    print(f"{promoted.stdout.strip()}; command {done_at - asked_at:.2f} s; no payment for {gap_s:.2f} s")
    assert gap_s < 10
    _assert_all_captured(replicated, acknowledged)
    after = eventually(lambda: _servers(replicated), _has_fit_replica, within_s=60)
    assert after["primary"]["name"] == before["replica"]["name"]
    assert after["replica"]["name"] == before["primary"]["name"]
    assert after["primary"]["timeline"] == before["primary"]["timeline"] + 1
