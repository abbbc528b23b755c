"""The processor's circuit breaker on a whole gateway: opens, is the same in all replicas, and closes by itself."""

from __future__ import annotations

import asyncio
import re
import statistics
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import aiohttp
import asyncpg
import httpx
import pytest

from tests.e2e.gateway import RunningGateway, logged_incidents
from tests.support.acquirer import AcquirerProcess
from tests.support.polling import eventually

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("kind", ["acquirer"], indirect=True, scope="package"),
]

_NAME = "processor:acquirer"
_CLIENTS = 8
_BODY = {"amount": 700, "currency": "USD", "payment_method": "tok_visa"}


class Operator:
    """Looks at the breakers, and forces them."""

    def __init__(self, gateway: RunningGateway) -> None:
        key = gateway.facts["admin_key"]
        self._http = httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {key}"}, timeout=20)

    def breaker(self, name: str = _NAME) -> dict[str, Any]:
        """Return a breaker as it is now."""
        answer = self._http.get("/ops/api/breakers")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = {each["name"]: each for each in answer.json()["data"]}
        breaker: dict[str, Any] = found[name]
        return breaker

    def force(self, state: str, name: str = _NAME) -> httpx.Response:
        """Hold a breaker."""
        return self._http.post(f"/ops/api/breakers/{name}/force", json={"state": state})

    def metrics(self) -> str:
        """Return what Prometheus scrapes."""
        return self._http.get("/metrics").text

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def operator(gateway: RunningGateway) -> Iterator[Operator]:
    """Return an operator."""
    operator = Operator(gateway)
    yield operator
    operator.close()


def _replicas(breaker: dict[str, Any]) -> dict[str, str]:
    return {each["process"]: each["state"] for each in breaker["processes"] if each["process"].startswith("gateway")}


class Load:
    """Pays from several clients in a thread of its own, and notes each answer: when, what, and how long it took."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._over = threading.Event()
        self.answers: list[tuple[float, int, float, str, str | None]] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def since(self, at: float, until: float = float("inf")) -> list[tuple[float, int, float, str, str | None]]:
        """Return the answers to requests that were sent from then on."""
        return [answer for answer in self.answers if at <= answer[0] < until]

    async def _run(self) -> None:
        headers = {"Authorization": f"Bearer {self._gateway.api_key}"}
        async with aiohttp.ClientSession(self._gateway.url, headers=headers) as http:
            await asyncio.gather(*(self._client(http) for _ in range(_CLIENTS)))

    async def _client(self, http: aiohttp.ClientSession) -> None:
        while not self._over.is_set():
            sent_at = time.monotonic()
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            async with http.post("/v1/payments", json=_BODY, headers=headers) as answer:
                body = await answer.json(content_type=None)
            took_s = time.monotonic() - sent_at
            self.answers.append(
                (sent_at, answer.status, took_s, body.get("code", ""), answer.headers.get("Retry-After"))
            )
            # As slow as a client that is not in a hurry: the load is not what is tested.
            await asyncio.sleep(0.02)


def _count(gateway: RunningGateway, table: str) -> int:
    async def ask() -> int:
        database = await asyncpg.connect(gateway.facts["database_url"])
        try:
            return int(await database.fetchval(f"SELECT count(*) FROM {table}"))
        finally:
            await database.close()

    return asyncio.run(ask())


def _took(read: Callable[[], Any], holds: Callable[[Any], bool], since: float, within_s: float) -> tuple[Any, float]:
    found = eventually(read, holds, within_s=within_s)
    return found, time.monotonic() - since


def _agree(breaker: dict[str, Any], state: str) -> bool:
    replicas = _replicas(breaker)
    is_closed = state == "closed"
    return len(replicas) == 2 and all((each == "closed") == is_closed for each in replicas.values())


def test_a_processor_that_dies_is_left_alone_and_found_again(
    gateway: RunningGateway, acquirer: AcquirerProcess, operator: Operator
) -> None:
    """Under load: open soon, in both replicas, 503 and nothing stored; closed once the processor is back, without
    anybody's help. How soon and how quick is printed: a busy machine is no failure."""
    eventually(operator.breaker, lambda found: _agree(found, "closed"), within_s=10)
    stored = _count(gateway, "payments")
    with Load(gateway) as load:
        eventually(lambda: [a[1] for a in load.answers].count(201), lambda count: count > 50, within_s=20)
        killed_at = time.monotonic()
        acquirer.kill()
        _, opened_s = _took(operator.breaker, lambda found: found["state"] != "closed", killed_at, 10.0)
        opened_at = time.monotonic()
        _, agreed_s = _took(operator.breaker, lambda found: _agree(found, "open"), opened_at, 5.0)
        open_from = time.monotonic()
        eventually(lambda: len(load.since(open_from)), lambda count: count > 500, within_s=30)
        back_at = time.monotonic()
        acquirer.start_again()
        started_at = time.monotonic()
        _, closed_s = _took(operator.breaker, lambda found: _agree(found, "closed"), started_at, 13.0)
        eventually(lambda: load.since(time.monotonic() - 0.5), lambda last: {a[1] for a in last} == {201}, within_s=5)
    statuses = Counter(answer[1] for answer in load.answers)
    refused = [answer for answer in load.since(open_from, back_at) if answer[1] == 503]
    median_ms = statistics.median(answer[2] for answer in refused) * 1000
    print(
        f"opened after {opened_s:.2f} s, both replicas {agreed_s:.2f} s later, closed {closed_s:.2f} s after it was"
        f" back; {len(refused)} refusals while it was away, median {median_ms:.1f} ms; answers {dict(statuses)}"
    )
    assert set(statuses) <= {201, 202, 502, 503}, logged_incidents(gateway.data_dir)
    assert {answer[3] for answer in load.answers if answer[1] == 503} == {"processor_unavailable"}
    assert all(answer[4] is not None and int(answer[4]) >= 1 for answer in load.answers if answer[1] == 503)
    assert len(refused) > 100
    # The others of that time are probes, of which each replica sends one after each pause.
    assert sum(answer[1] != 503 for answer in load.since(open_from, back_at)) <= 10
    # What was refused left nothing behind.
    assert _count(gateway, "payments") - stored == sum(count for status, count in statuses.items() if status != 503)


def test_an_operator_forces_it(gateway: RunningGateway, operator: Operator) -> None:
    """Open: nothing new, what was answered is replayed, nothing stored; released, it closes after its probes."""
    with httpx.Client(
        base_url=gateway.url, headers={"Authorization": f"Bearer {gateway.api_key}"}, timeout=20
    ) as merchant:

        def pay(key: str) -> httpx.Response:
            return merchant.post("/v1/payments", json=_BODY, headers={"Idempotency-Key": key})

        paid = eventually(lambda: pay("paid"), lambda answer: answer.status_code == 201, within_s=15)
        stored = _count(gateway, "payments")
        forced_at = time.monotonic()
        answer = operator.force("open")
        assert answer.status_code == 200, answer.text
        found, obeyed_s = _took(operator.breaker, lambda found: _agree(found, "open"), forced_at, 5.0)
        assert (found["state"], found["forced"], found["forced_by"][:4]) == ("open", "open", "key_")
        assert all(state == "open" for state in _replicas(found).values())
        for number in range(20):
            refused = pay(f"new-{number}")
            assert (refused.status_code, refused.json()["code"]) == (503, "processor_unavailable")
            assert int(refused.headers["Retry-After"]) >= 1
        again = pay("paid")
        assert (again.status_code, again.json()["id"]) == (201, paid.json()["id"])
        assert again.headers["Idempotent-Replayed"] == "true"
        assert _count(gateway, "payments") == stored
        metrics = operator.metrics()
        assert f'easypay_breaker_state{{breaker="{_NAME}"}} 2.0' in metrics
        assert f'easypay_breaker_forced{{breaker="{_NAME}"}} 1.0' in metrics
        released_at = time.monotonic()
        assert operator.force("auto").status_code == 200
        eventually(lambda: pay(uuid.uuid4().hex).status_code, lambda status: status == 201, within_s=5)

        def pay_and_look() -> dict[str, Any]:
            pay(uuid.uuid4().hex)
            return operator.breaker()

        _, closed_s = _took(pay_and_look, lambda found: _agree(found, "closed"), released_at, 5.0)
        print(f"both replicas obeyed after {obeyed_s:.2f} s; closed {closed_s:.2f} s after it was released")


def test_every_dependency_is_shown(operator: Operator) -> None:
    """The database and Redis too; what does not exist cannot be forced, and a wrong wish names its field."""
    for name in ("postgresql", "redis"):
        breaker = eventually(partial(operator.breaker, name), lambda found: found["processes"], within_s=10)
        assert (breaker["state"], breaker["forced"]) == ("closed", None)
    assert operator.force("open", "processor:other").status_code == 404
    wrong = operator.force("ajar")
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "state"


def test_a_merchant_that_tests_its_errors_shuts_nothing(gateway: RunningGateway, operator: Operator) -> None:
    """Thirty payments that fail as they were asked to leave the breaker closed."""
    openings = re.compile(rf'easypay_breaker_openings_total\{{breaker="{_NAME}"\}} (\S+)')
    before = openings.findall(operator.metrics())
    assert len(before) == 1
    with httpx.Client(
        base_url=gateway.url, headers={"Authorization": f"Bearer {gateway.api_key}"}, timeout=20
    ) as merchant:

        def fail(_: int) -> int:
            body = {**_BODY, "payment_method": "tok_processor_error"}
            return merchant.post("/v1/payments", json=body).status_code

        with ThreadPoolExecutor(10) as clients:
            assert set(clients.map(fail, range(30))) == {502}
    assert operator.breaker()["state"] == "closed"
    assert openings.findall(operator.metrics()) == before
