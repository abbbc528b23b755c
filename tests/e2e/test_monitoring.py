"""Operators see what the gateway does, and hear of what is wrong with it, soon and only for as long as it is."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from serve_app.ops.monitor_metrics import COUNTERS, GAUGES, HISTOGRAMS
from tests.chaos.killer import REPLICA, Killer
from tests.chaos.redis_beneath import EmbeddedBeneath
from tests.e2e.gateway import RunningGateway, logged_incidents, running_gateway
from tests.support.acquirer import AcquirerProcess
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(400)]

_RAISED_WITHIN_S, _RESOLVED_WITHIN_S = 25.0, 60.0
"""What is promised is 10 and 30 on a machine of one's own; each test prints what it took."""
_ANSWERED_WITHIN_S = 20.0
_BODY = {"amount": 700, "currency": "EUR", "payment_method": "tok_visa"}
_CLIENTS = 4
_QUEUE, _FLOOD = 32, 400
_PAUSE_S = 0.05


class Operator:
    """Looks at the monitor."""

    def __init__(self, gateway: RunningGateway) -> None:
        key = gateway.facts["admin_key"]
        self.http = httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {key}"}, timeout=20)

    def look(self, path: str) -> httpx.Response:
        """Read, again where the replica that was asked has just been killed."""
        try:
            return self.http.get(path)
        except httpx.TransportError:
            return self.http.get(path)

    def overview(self) -> dict[str, Any]:
        """Return the overview, empty while the monitor is away."""
        answer = self.look("/ops/api/overview")
        assert answer.status_code in (200, 503), answer.text
        return dict(answer.json()) if answer.status_code == 200 else {}

    def alerts(self, name: str, state: str = "firing") -> list[dict[str, Any]] | None:
        """Return the alerts of this name and state, None while the monitor is away."""
        answer = self.look("/ops/api/alerts")
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 503:
            return None
        return [each for each in answer.json()["alerts"] if (each["name"], each["state"]) == (name, state)]


class Load:
    """Pays from several clients in threads of its own until the end of the block, and counts the answers."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._pay, daemon=True) for _ in range(_CLIENTS)]
        self.answers: Counter[int] = Counter()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def _pay(self) -> None:
        headers = {"Authorization": f"Bearer {self._gateway.api_key}"}
        with httpx.Client(base_url=self._gateway.url, headers=headers, timeout=40) as http:
            while not self._over.wait(_PAUSE_S):
                key = {"Idempotency-Key": uuid.uuid4().hex}
                try:
                    self.answers[http.post("/v1/payments", json=_BODY, headers=key).status_code] += 1
                except httpx.TransportError:
                    self.answers[0] += 1


async def _flood(gateway: RunningGateway, over: threading.Event, refused_at: list[float]) -> None:
    """Pay from more clients than the gateway works for and lets wait, until the event; note when each was refused."""

    async def pay(http: aiohttp.ClientSession) -> None:
        while not over.is_set():
            try:
                async with http.post("/v1/payments", json=_BODY, headers={"Idempotency-Key": uuid.uuid4().hex}) as done:
                    assert done.status in (201, 202, 429, 503), await done.text()
                    if done.status == 503:
                        refused_at.append(time.monotonic())
            except (aiohttp.ClientError, TimeoutError):
                # It may hang up on whom it has no room for.
                pass
            # Whoever was refused comes again, and leaves the others a processor to be answered with.
            await asyncio.sleep(_PAUSE_S)

    async with aiohttp.ClientSession(
        gateway.url,
        headers={"Authorization": f"Bearer {gateway.api_key}"},
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(30),
    ) as http:
        await asyncio.gather(*(pay(http) for _ in range(_FLOOD)))


@pytest.fixture(scope="module")
def acquirer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcquirerProcess]:
    """Run an acquirer that takes 20 ms for a charge."""
    running = AcquirerProcess(tmp_path_factory.mktemp("acquirer") / "ledger.db", latency_ms=20, seed=7)
    yield running
    running.kill()


@pytest.fixture(scope="module")
def watched(acquirer: AcquirerProcess) -> Iterator[RunningGateway]:
    """Run a gateway whose machine may be as busy as it likes: what else runs on it is not what is tested."""
    environment = {
        "RATE_LIMIT_PER_MINUTE": "0",
        "PROCESSOR_URL": acquirer.url,
        "PROCESSOR_TIMEOUT_S": "10",
        "PERFORMANCE_ALERT_THRESHOLD": "1",
        "MAX_QUEUE_SIZE": str(_QUEUE),
    }
    with running_gateway("--replicas", "2", **environment) as running:
        yield running


@pytest.fixture
def operator(watched: RunningGateway) -> Iterator[Operator]:
    """Return an operator."""
    operator = Operator(watched)
    yield operator
    operator.http.close()


@pytest.fixture
def load(watched: RunningGateway) -> Iterator[Load]:
    """Pay for as long as the test lasts."""
    with Load(watched) as load:
        yield load


@contextmanager
def _raising(operator: Operator, name: str) -> Iterator[None]:
    """Do what the block does; the alert must fire within it, as it lasts, and resolve after it."""
    began = time.monotonic()
    yield
    ended = time.monotonic()
    eventually(lambda: operator.alerts(name), lambda found: found == [], within_s=_RESOLVED_WITHIN_S)
    print(f"{name}: resolved {time.monotonic() - ended:.1f} s after its cause, which lasted {ended - began:.1f} s")
    eventually(lambda: operator.alerts(name, "resolved"), bool, within_s=_ANSWERED_WITHIN_S)


def _fires(operator: Operator, name: str) -> dict[str, Any]:
    """Wait for an alert and return it."""
    began = time.monotonic()
    alert: dict[str, Any] = eventually(lambda: operator.alerts(name) or [], bool, within_s=_RAISED_WITHIN_S)[0]
    print(f"{name}: raised after {time.monotonic() - began:.1f} s: {alert['reason']}")
    overview = eventually(operator.overview, bool, within_s=_ANSWERED_WITHIN_S)
    # What fires is never called better than this.
    assert overview["level"]["level"] in ("fair", "poor", "critical"), overview["level"]
    return alert


def _kinds(overview: dict[str, Any]) -> set[str]:
    """Return of what kinds the processes are that the monitor hears."""
    return {_kind(each["process"]) for each in overview.get("processes", ())}


def _kind(process: str) -> str:
    """Return a process's name without its node and its id."""
    return process.rsplit("-", 2)[0]


def _changes(operator: Operator, field: str = "kind") -> set[str]:
    """Return the kinds of what changed, or what it was."""
    return {each[field] for each in operator.overview().get("changes", ())}


def _silences(operator: Operator) -> list[dict[str, Any]]:
    """Return the silences, and what is none while the monitor is away."""
    return list(operator.look("/ops/api/alerts").json().get("silences", [{}]))


def _paid(operator: Operator) -> float:
    """Return how many captured payments a scrape tells of."""
    found = re.search(r'^easypay_payments_total\{.*status="captured".*\} (\S+)$', operator.look("/metrics").text, re.M)
    return float(found[1]) if found else 0.0


def _gateways(operator: Operator) -> int:
    """Return how many replicas the monitor hears."""
    return sum(_kind(each["process"]) == "gateway" for each in operator.overview().get("processes", ()))


def _kill(gateway: RunningGateway, title: str) -> int:
    """Kill one of the gateway's processes of this title, and return which."""
    victim = Killer(gateway.data_dir, 1).find(title)[0]
    os.kill(victim, signal.SIGKILL)
    return victim


def test_the_overview_shows_what_happens(watched: RunningGateway, operator: Operator, load: Load) -> None:
    """Requests and payments as they come, where they wait, what is used, and who reports; nothing fires."""
    overview = eventually(
        operator.overview,
        lambda seen: (
            _kinds(seen) == {"gateway", "task-worker", "task-scheduler", "cache-shard", "breakers", "monitor"}
            and bool(seen["payments"])
            and (seen["windows"]["10s"]["payments_per_s"] or 0) > 1
        ),
        within_s=30,
    )
    eventually(lambda: _gateways(operator), lambda count: count == 2, within_s=_ANSWERED_WITHIN_S)
    window = overview["windows"]["10s"]
    assert 0 < window["p50_ms"] <= window["p95_ms"] <= window["p99_ms"]
    assert window["requests_per_s"] >= window["payments_per_s"] > 1
    (captured,) = (each for each in overview["payments"] if each["status"] == "captured")
    assert captured["currency"] == "EUR"
    assert captured["amount_minor_per_s"] == pytest.approx(700 * captured["per_s"])
    waits = {each["stage"]: each for each in overview["waits"]}
    # Nobody had to wait for his turn or for a connection; of those that do not, nothing is told.
    assert {"begin", "processor", "conclude"} <= waits.keys()
    assert waits["processor"]["p50_ms"] >= 15, "the acquirer takes 20 ms"
    assert all(waits[stage]["share"] > 0 for stage in ("begin", "processor", "conclude"))
    resources = {each["resource"]: each for each in overview["resources"]}
    assert {"queue", "pool", "cache", "cpu", "memory", "disk", "files", "rate", "tasks", "webhooks"} <= resources.keys()
    assert all(0 <= each["utilisation"] <= 1 for each in resources.values())
    assert {each["metric"] for each in overview["levels"]} >= {"response_time_p95", "error_ratio", "cache_hit_ratio"}
    assert {"deploy", "scale"} <= {each["kind"] for each in overview["changes"]}
    history = eventually(operator.overview, lambda seen: len(seen["history"]) >= 5, within_s=20)["history"]
    assert sum(count for second in history for _, count in second["latency"]) > 0
    assert [each["at"] for each in history] == sorted(each["at"] for each in history)
    assert set(load.answers) == {201}, logged_incidents(watched.data_dir)


@pytest.mark.usefixtures("load")
def test_metrics_have_every_name_that_is_promised(operator: Operator) -> None:
    """In both formats, by the parsers of both; counts are what was done."""
    eventually(lambda: _paid(operator), lambda paid: paid > 5, within_s=30)
    plain = operator.http.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    open_metrics = operator.http.get("/metrics", headers=accept)
    assert open_metrics.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    promised = {name.removesuffix("_total") for name in (*COUNTERS, *GAUGES, *HISTOGRAMS)}
    for families in (list(parse_plain(plain.text)), list(parse_openmetrics(open_metrics.text))):  # type: ignore[no-untyped-call]
        names = [family.name for family in families]
        assert len(names) == len(set(names))
        assert promised <= set(names)
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_openmetrics(open_metrics.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    paid = (("method", "POST"), ("route", "/v1/payments"), ("status", "201"))
    assert samples["easypay_http_requests_total", paid] > 5
    assert samples["easypay_payments_total", (("currency", "EUR"), ("status", "captured"))] > 5
    assert samples["easypay_level", (("metric", "overall"),)] in range(5)
    assert samples["easypay_monitor_processes", ()] >= 5
    assert not any("pay_" in value for _, labels in samples for _, value in labels), "no label is an id"


def test_a_failing_processor_is_told(operator: Operator, load: Load, acquirer: AcquirerProcess) -> None:
    """With the breaker that opens, which is among what changed; both end when it is back."""
    with _raising(operator, "ProcessorFailing"), _raising(operator, "BreakerOpen"):
        acquirer.kill()
        try:
            alert = _fires(operator, "ProcessorFailing")
            assert alert["labels"] == {"processor": "acquirer"}
            assert alert["severity"] == "page"
            breaker = _fires(operator, "BreakerOpen")
            assert breaker["labels"] == {"breaker": "processor:acquirer"}
            eventually(lambda: _changes(operator), lambda found: "breaker" in found, within_s=_ANSWERED_WITHIN_S)
        finally:
            acquirer.start_again()
    assert load.answers[201] > 0


def test_redis_that_is_away_is_told(watched: RunningGateway, operator: Operator, load: Load) -> None:
    """Payments go on meanwhile."""
    redis = EmbeddedBeneath(watched.data_dir)
    with _raising(operator, "RedisAway"):
        asyncio.run(redis.take_away())
        try:
            _fires(operator, "RedisAway")
            before = load.answers[201]
            eventually(lambda: load.answers[201], lambda paid: paid > before, within_s=20)
        finally:
            asyncio.run(redis.bring_back())


def test_a_slow_database_is_told(watched: RunningGateway, operator: Operator, load: Load) -> None:
    """Also while the statements that hang have not ended."""
    assert load is not None

    async def hold(fires: Callable[[], object]) -> None:
        connection = await asyncpg.connect(watched.facts["database_url"])
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
                await asyncio.to_thread(fires)
        finally:
            await connection.close()

    with _raising(operator, "DatabaseSlow"):
        asyncio.run(hold(lambda: _fires(operator, "DatabaseSlow")))


def test_a_full_queue_is_told(watched: RunningGateway, operator: Operator) -> None:
    """For as long as there is no room in it."""
    over, refused_at = threading.Event(), list[float]()
    flood = threading.Thread(target=lambda: asyncio.run(_flood(watched, over, refused_at)), daemon=True)
    with _raising(operator, "QueueFull"):
        flood.start()
        try:
            assert _fires(operator, "QueueFull")["severity"] == "page"
            print(f"QueueFull: {time.monotonic() - refused_at[0]:.1f} s after the first was refused")
        finally:
            over.set()
            flood.join(timeout=60)
    assert not flood.is_alive()


def test_a_replica_that_is_killed_is_told(watched: RunningGateway, operator: Operator, load: Load) -> None:
    """Until another one has taken its place."""
    assert load is not None
    with _raising(operator, "ReplicaLost"):
        victim = _kill(watched, REPLICA)
        _fires(operator, "ReplicaLost")
        eventually(
            lambda: [each["labels"]["process"] for each in operator.alerts("ReplicaLost") or ()],
            lambda found: any(process.endswith(f"-{victim}") for process in found),
            within_s=_ANSWERED_WITHIN_S,
        )


def test_payments_do_not_notice_that_the_monitor_is_killed(
    watched: RunningGateway, operator: Operator, load: Load
) -> None:
    """It is back by itself, and what was counted meanwhile was told then."""
    eventually(lambda: _gateways(operator), lambda count: count == 2, within_s=_RESOLVED_WITHIN_S)
    load.answers.clear()
    _kill(watched, "ray::MonitorAggregatorActor")
    away = 0
    while not load.answers[201] >= 50:
        away += operator.http.get("/ops/api/overview").status_code == 503
        assert set(load.answers) <= {201}, load.answers
    print(f"{away} looks at a monitor that was away")
    eventually(
        operator.overview,
        lambda seen: bool(seen) and (seen["windows"]["10s"]["payments_per_s"] or 0) > 1,
        within_s=30,
    )
    eventually(lambda: _gateways(operator), lambda count: count == 2, within_s=30)
    assert set(load.answers) == {201}, logged_incidents(watched.data_dir)


def test_an_alert_can_be_silenced_and_that_is_written_down(operator: Operator) -> None:
    """By whom, until when and why; what is wrong is refused, what is not there is not found."""
    path = "/ops/api/alerts/silences"
    asked = {"alert": "RedisAway", "labels": {"x": "y"}, "minutes": 5, "why": "Redis is being upgraded."}
    made = operator.http.post(path, json=asked)
    assert made.status_code == 201, made.text
    silence = made.json()
    assert (silence["alert"], silence["labels"], silence["why"]) == ("RedisAway", {"x": "y"}, asked["why"])
    assert re.match(r"key_", silence["by"])
    eventually(lambda: _silences(operator), lambda found: silence in found, within_s=_ANSWERED_WITHIN_S)
    assert operator.http.delete(f"{path}/{silence['id']}").status_code == 204
    assert operator.http.delete(f"{path}/{silence['id']}").status_code == 404
    eventually(lambda: _silences(operator), lambda found: found == [], within_s=_ANSWERED_WITHIN_S)
    for wrong in ({**asked, "minutes": 0}, {**asked, "why": "4242424242424242"}, {"alert": "RedisAway"}):
        assert operator.http.post(path, json=wrong).status_code == 422
    entries = eventually(
        lambda: operator.http.get("/v1/audit_log?limit=20").json()["data"],
        lambda found: [each["action"] for each in found[:2]] == ["alert.unsilence", "alert.silence"],
        within_s=_ANSWERED_WITHIN_S,
    )
    assert entries[1]["object_id"] == f"RedisAway {silence['id']}"
    eventually(lambda: _changes(operator, "what"), lambda found: f"POST {path}" in found, within_s=_ANSWERED_WITHIN_S)


def test_alerts_are_in_the_log(watched: RunningGateway) -> None:
    """Whoever has no webhook finds them there: what fired, and that it has resolved."""
    lines = [
        json.loads(line)
        for log in Path(watched.data_dir).rglob("worker-*.out")
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if '"an alert ' in line
    ]
    told = {(line["alert"], line["state"]) for line in lines}
    for name in ("ProcessorFailing", "RedisAway", "DatabaseSlow", "ReplicaLost"):
        assert {(name, "firing"), (name, "resolved")} <= told
