"""What the gateway's rules make of what its processes tell: each fault its alert, and noise none."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from actors.monitor.alerts import AlertState
from actors.monitor.instruments import Instruments
from actors.monitor.levels import Level
from actors.monitor.monitor import Monitor
from actors.runtime.clock import ManualClock
from serve_app.monitoring.names import (
    ACTOR_UP,
    BREAKER_OPEN,
    CACHE_LOOKUPS,
    CACHE_PUSHED_OUT,
    HTTP_DURATION,
    HTTP_REQUESTS,
    PAYMENTS,
    PAYMENTS_AMOUNT,
    PROCESS_ENDING,
    PROCESS_MEMORY,
    PROCESSOR_CALLS,
    REDIS_UP,
    SERVER_UP,
    STAGE_DURATION,
    STATEMENT_DURATION,
    STATEMENT_OLDEST,
    UTILISATION,
)
from serve_app.monitoring.rules import gateway_rules

_START = datetime(2026, 1, 1, tzinfo=UTC)
_TICK_S = 0.25


class _Gateway:
    """Two replicas that report four times a second to a monitor that judges; time is an argument."""

    def __init__(self, *, has_redis: bool = True, threshold: float = 0.8) -> None:
        self._clock = ManualClock()
        self._clock.advance(1000.0)
        self.monitor = Monitor(gateway_rules(threshold, has_redis=has_redis), self.now)
        self.alive: dict[str, Instruments] = {}
        for number in (1, 2):
            self.start(f"gateway-{number}")
        self.fired: set[str] = set()

    def start(self, process: str) -> Instruments:
        """Have a process report from now on."""
        instruments = Instruments(process, "node-1", clock=self._clock)
        instruments.gauge(PROCESS_MEMORY, 1e8, process=process)
        self.alive[process] = instruments
        return instruments

    @property
    def now(self) -> float:
        """The time."""
        return self._clock.monotonic()

    def run(self, seconds: float, each_tick: Callable[[Instruments], None] = lambda _: None) -> None:
        """Let time pass; `each_tick` measures in each process."""
        for _ in range(round(seconds / _TICK_S)):
            self._clock.advance(_TICK_S)
            for instruments in self.alive.values():
                each_tick(instruments)
                self.monitor.take(instruments.take(), self.now)
            self.monitor.step(self.now, _START + timedelta(seconds=self.now))
            self.fired |= self.firing()

    def firing(self) -> set[str]:
        """The names of what fires now."""
        return {alert.name for alert in self.monitor.alerts().alerts if alert.state is AlertState.FIRING}

    def level(self) -> Level:
        """How well it goes."""
        return self.monitor.overview(self.now, _START).level.level


def _traffic(
    instruments: Instruments, *, requests: int = 25, failed: int = 0, took_s: float = 0.01, status: str = "500"
) -> None:
    for number in range(requests):
        code = status if number < failed else "201"
        instruments.count(HTTP_REQUESTS, method="POST", route="/v1/payments", status=code)
        instruments.record(HTTP_DURATION, took_s * (1 + number / requests), method="POST", route="/v1/payments")
        instruments.record(STATEMENT_DURATION, 0.002)
        instruments.count(PROCESSOR_CALLS, processor="acquirer", outcome="answered")
        instruments.count(CACHE_LOOKUPS, outcome="hit")


def _gauge(name: str, value: float, **labels: str) -> Callable[[Instruments], None]:
    def set_it(instruments: Instruments) -> None:
        _traffic(instruments)
        instruments.gauge(name, value, **labels)

    return set_it


def _calls(outcome: str) -> Callable[[Instruments], None]:
    return lambda instruments: instruments.count(PROCESSOR_CALLS, 5, processor="acquirer", outcome=outcome)


_FAULTS: dict[str, tuple[str, Callable[[Instruments], None]]] = {
    "slow answers": ("ResponseTimeHigh", lambda instruments: _traffic(instruments, took_s=1.5)),
    "errors": ("ErrorRateHigh", lambda instruments: _traffic(instruments, failed=3)),
    "a processor that fails": ("ProcessorFailing", _calls("failed")),
    "a processor that is silent": ("ProcessorFailing", _calls("silent")),
    "a processor that is left alone": ("ProcessorFailing", _gauge(BREAKER_OPEN, 1.0, breaker="processor:acquirer")),
    "an open breaker": ("BreakerOpen", _gauge(BREAKER_OPEN, 1.0, breaker="postgresql")),
    "slow statements": ("DatabaseSlow", lambda instruments: instruments.record(STATEMENT_DURATION, 3.0)),
    "a statement that hangs": ("DatabaseSlow", _gauge(STATEMENT_OLDEST, 4.0)),
    "a shard without Redis": ("RedisAway", _gauge(REDIS_UP, 0.0, shard="cache-shard-1")),
    "a full queue": ("QueueFull", _gauge(UTILISATION, 1.0, resource="queue")),
    "a pool that is used up": ("ResourceUtilisationHigh", _gauge(UTILISATION, 0.9, resource="pool")),
    "an actor that does not answer": ("ActorAway", _gauge(ACTOR_UP, 0.0, actor="pool-manager")),
    "a server of the database that is away": ("ReplicaLost", _gauge(SERVER_UP, 0.0, server="b:5432")),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_each_fault_has_its_alert_within_ten_seconds_and_until_half_a_minute_after_it(fault: str) -> None:
    """And the level agrees: what fires is never called better than fair."""
    name, strike = _FAULTS[fault]
    gateway = _Gateway()
    gateway.run(15, _traffic)
    assert (gateway.fired, gateway.level()) == (set(), Level.EXCELLENT)
    gateway.run(10, strike)
    assert name in gateway.firing(), gateway.monitor.alerts().alerts
    assert gateway.level() <= Level.FAIR
    for instruments in gateway.alive.values():
        for gauge, value, labels in (
            (BREAKER_OPEN, 0.0, {"breaker": "processor:acquirer"}),
            (BREAKER_OPEN, 0.0, {"breaker": "postgresql"}),
            (STATEMENT_OLDEST, 0.0, {}),
            (REDIS_UP, 1.0, {"shard": "cache-shard-1"}),
            (UTILISATION, 0.1, {"resource": "queue"}),
            (UTILISATION, 0.1, {"resource": "pool"}),
            (SERVER_UP, 1.0, {"server": "b:5432"}),
            (ACTOR_UP, 1.0, {"actor": "pool-manager"}),
        ):
            instruments.gauge(gauge, value, **labels)
    gateway.run(30, _traffic)
    # A budget that was burnt stays so for longer: that is its point.
    assert gateway.firing() - {"SloBurnFast", "SloBurnSlow"} == set()


def test_ten_minutes_of_noise_fire_nothing() -> None:
    """Now and then a slow answer, an error, a statement that waits, a burst that fills half the queue, a cache that
    warms, and processors that are busy."""
    gateway, ticks = _Gateway(), iter(range(10**6))

    def noise(instruments: Instruments) -> None:
        tick = next(ticks)
        _traffic(instruments, failed=1 if tick % 60 == 0 else 0, status="502")
        instruments.record(HTTP_DURATION, 4.0, method="POST", route="/v1/payments")
        instruments.record(STATEMENT_DURATION, 0.8 if tick % 20 == 0 else 0.004)
        instruments.count(PROCESSOR_CALLS, processor="acquirer", outcome="failed" if tick % 4 == 0 else "answered")
        instruments.count(CACHE_LOOKUPS, 20, outcome="miss")
        instruments.gauge(UTILISATION, 0.5 if tick % 30 < 5 else 0.0, resource="queue")
        instruments.gauge(UTILISATION, 1.0 if tick % 200 < 150 else 0.5, resource="cpu")
        instruments.gauge(STATEMENT_OLDEST, 1.5 if tick % 40 < 4 else 0.0)

    gateway.run(600, noise)
    assert gateway.fired == set()


def test_replicas_that_are_lost_all_at_once_are_replaced_like_any_other() -> None:
    """Nobody is missed once as many serve as did."""
    gateway = _Gateway()
    gateway.run(10, _traffic)
    lost = [name for name in gateway.alive if name.startswith("gateway-")]
    for name in lost:
        del gateway.alive[name]
    gateway.run(10)
    assert gateway.firing() == {"ReplicaLost"}
    for number, _ in enumerate(lost, 90):
        gateway.start(f"gateway-{number}")
    gateway.run(30, _traffic)
    assert gateway.firing() == set()


def test_few_requests_are_not_judged_by_shares() -> None:
    """One error of three would be a third."""
    gateway = _Gateway()
    gateway.alive.popitem()
    gateway.run(0.25, lambda instruments: _traffic(instruments, requests=3, failed=1, took_s=2.0))
    gateway.run(20)
    assert gateway.fired - {"ReplicaLost"} == set()


def test_a_cache_that_misses_is_told_after_two_minutes() -> None:
    """Not while it warms up."""
    gateway = _Gateway()

    def misses(instruments: Instruments) -> None:
        instruments.count(CACHE_LOOKUPS, 10, outcome="miss")

    gateway.run(50, misses)
    assert gateway.fired == set()
    gateway.run(80, misses)
    assert gateway.firing() == {"CacheHitRateLow"}


def test_a_cache_that_is_full_is_as_good_as_any() -> None:
    """It is there to be full: what is read hits, and what comes in pushes out what nobody asks for."""
    gateway = _Gateway()

    def full(instruments: Instruments) -> None:
        _gauge(UTILISATION, 1.0, resource="cache", shard="cache-shard-0")(instruments)
        instruments.count(CACHE_LOOKUPS, 2, outcome="miss")
        instruments.count(CACHE_PUSHED_OUT, 2)

    gateway.run(300, full)
    assert (gateway.fired, gateway.level()) == (set(), Level.EXCELLENT)
    assert gateway.monitor.overview(gateway.now, _START).advice == ()


def test_a_cache_without_room_for_what_is_read_is_told_and_advised_on() -> None:
    """Three reads in ten miss, and each pushes out what another read will miss; not while it fills."""
    gateway = _Gateway()

    def read(instruments: Instruments) -> None:
        instruments.count(CACHE_LOOKUPS, 7, outcome="hit")
        instruments.count(CACHE_LOOKUPS, 3, outcome="miss")

    def read_and_push(instruments: Instruments) -> None:
        read(instruments)
        instruments.count(CACHE_PUSHED_OUT, 3)

    gateway.run(150, read)
    assert gateway.fired == set()
    gateway.run(180, read_and_push)
    assert gateway.firing() == {"CacheTooSmall"}
    assert [each.change for each in gateway.monitor.overview(gateway.now, _START).advice] == [
        "give the shards of the cache more memory, or add shards"
    ]
    gateway.run(90, _traffic)
    assert gateway.firing() == set()


def test_what_may_be_full_for_a_while_is_told_when_it_stays_so() -> None:
    """Processors and memory; by the threshold that is configured."""
    gateway = _Gateway(threshold=0.5)
    gateway.run(60, _gauge(UTILISATION, 0.6, resource="memory"))
    assert gateway.fired == set()
    gateway.run(90, _gauge(UTILISATION, 0.6, resource="memory"))
    assert gateway.firing() == {"ResourceUtilisationHigh"}


def test_without_redis_there_is_no_alert_for_it() -> None:
    """A gateway that has none does not miss it."""
    gateway = _Gateway(has_redis=False)
    gateway.run(30, _gauge(REDIS_UP, 0.0, shard="cache-shard-0"))
    assert gateway.fired == set()


def test_a_replica_that_falls_silent_is_lost_until_another_takes_its_place() -> None:
    """Within ten seconds, and for as long as nobody does."""
    gateway = _Gateway()
    gateway.run(10, _traffic)
    del gateway.alive["gateway-2"]
    gateway.run(10, _traffic)
    (alert,) = (each for each in gateway.monitor.alerts().alerts if each.state is AlertState.FIRING)
    assert (alert.name, dict(alert.labels)) == ("ReplicaLost", {"process": "gateway-2"})
    gateway.run(60, _traffic)
    assert gateway.firing() == {"ReplicaLost"}
    gateway.start("gateway-3")
    gateway.run(15, _traffic)
    assert gateway.firing() == set()


@pytest.mark.parametrize(
    ("name", "gauge", "value", "label"),
    [
        ("BreakerOpen", BREAKER_OPEN, 1.0, {"breaker": "postgresql"}),
        ("ProcessorFailing", BREAKER_OPEN, 1.0, {"breaker": "processor:acquirer"}),
        ("RedisAway", REDIS_UP, 0.0, {}),
        ("ReplicaLost", SERVER_UP, 0.0, {"server": "b:5432"}),
    ],
)
def test_an_alert_does_not_end_with_the_actor_that_knows_of_it(
    name: str, gauge: str, value: float, label: dict[str, str]
) -> None:
    """It fires on beside the alert of the actor that is away, until its figure is back and well."""
    gateway = _Gateway()
    gateway.run(15, _gauge(gauge, value, **label))
    gateway.run(90, lambda instruments: instruments.forget_gauge(gauge, **label))
    assert name in gateway.firing()
    gateway.run(14, _gauge(gauge, 1.0 - value, **label))
    (ended,) = (each for each in gateway.monitor.alerts().alerts if each.name == name)
    assert ended.state is AlertState.RESOLVED
    assert "heard" not in ended.reason


def test_an_alert_whose_actor_stays_away_ends_after_ten_minutes_and_says_why() -> None:
    """What nobody can tell any more, as of a server that was taken out of the settings, does not page for ever."""
    gateway = _Gateway()
    gateway.run(10, _gauge(SERVER_UP, 0.0, server="b:5432"))

    def forget(instruments: Instruments) -> None:
        instruments.forget_gauge(SERVER_UP, server="b:5432")

    gateway.run(595, forget)
    assert gateway.firing() == {"ReplicaLost"}
    gateway.run(15, forget)
    (ended,) = (each for each in gateway.monitor.alerts().alerts if each.name == "ReplicaLost")
    assert ended.state is AlertState.RESOLVED
    assert "not known to be well" in ended.reason


def test_errors_are_not_over_because_nobody_asks_any_more() -> None:
    """Clients that give up leave nothing to measure: the alert, and the level, go on for a minute."""
    gateway = _Gateway()
    gateway.run(15, lambda instruments: _traffic(instruments, failed=10))
    assert "ErrorRateHigh" in gateway.firing()
    level = gateway.level()
    gateway.run(45)
    assert "ErrorRateHigh" in gateway.firing()
    assert gateway.level() == level
    gateway.run(45)
    assert "ErrorRateHigh" not in gateway.firing()


def test_a_replica_that_was_replaced_before_its_silence_was_noticed_is_told_of_all_the_same() -> None:
    """The new one is there sooner than the old one is missed: nobody planned that, and it is over at once."""
    gateway = _Gateway()
    gateway.run(10, _traffic)
    del gateway.alive["gateway-1"]
    gateway.run(1, _traffic)
    gateway.start("gateway-3")
    gateway.run(20, _traffic)
    assert gateway.fired == {"ReplicaLost"}
    assert gateway.firing() == set()


def test_a_replica_that_said_that_it_ends_is_not_lost() -> None:
    """It was stopped: a cluster that scales down wakes nobody."""
    gateway = _Gateway()
    gateway.run(10, _traffic)
    ending = gateway.alive.pop("gateway-2")
    ending.gauge(PROCESS_ENDING, 1.0, process="gateway-2")
    gateway.monitor.take(ending.take(), gateway.now)
    gateway.run(30, _traffic)
    assert gateway.fired == set()


def test_a_budget_that_burns_is_told() -> None:
    """Errors too few for a threshold of a twentieth that use the month's up in a day; not those of a minute."""
    gateway = _Gateway()

    def burning(instruments: Instruments) -> None:
        for status, count in (("201", 96), ("503", 4)):
            instruments.count(HTTP_REQUESTS, count, method="POST", route="/v1/payments", status=status)

    gateway.run(60, burning)
    assert gateway.fired == set()
    gateway.run(1440, burning)
    assert gateway.firing() == {"SloBurnFast"}


def test_the_figures_are_those_of_merchants_alone() -> None:
    """An operator's page that takes long says nothing of payments."""
    gateway = _Gateway()

    def both(instruments: Instruments) -> None:
        _traffic(instruments, requests=2)
        instruments.count(HTTP_REQUESTS, 50, method="GET", route="/ops/api/overview", status="503")
        instruments.record(HTTP_DURATION, 9.0, method="GET", route="/ops/api/overview")
        instruments.count(PAYMENTS, 2, status="captured", currency="EUR")
        instruments.count(PAYMENTS_AMOUNT, 600, status="captured", currency="EUR")
        instruments.record(STAGE_DURATION, 0.005, stage="begin")

    gateway.run(20, both)
    overview = gateway.monitor.overview(gateway.now, _START)
    window = overview.windows["10s"]
    assert window["requests_per_s"] == pytest.approx(16)
    assert window["errors_per_s"] == 0
    assert window["payments_per_s"] == pytest.approx(16)
    p99_ms = window["p99_ms"]
    assert p99_ms is not None
    assert p99_ms < 100
    (payments,) = overview.tables["payments"]
    assert dict(payments.labels) == {"status": "captured", "currency": "EUR"}
    assert payments.figures == {"per_s": pytest.approx(16), "amount_minor_per_s": pytest.approx(4800)}
    (wait,) = overview.tables["waits"]
    share = wait.figures["share"]
    assert share is not None
    # Of two requests, which take 10 and 15 ms, one had a stage of 5 ms.
    assert share == pytest.approx(0.2, rel=0.01)
    assert gateway.fired == set()


def test_advice_names_what_to_set() -> None:
    """When requests wait for connections that are all in use."""
    gateway = _Gateway()

    def waiting(instruments: Instruments) -> None:
        _traffic(instruments, took_s=0.1)
        instruments.record(STAGE_DURATION, 0.05, stage="pool")
        for _ in range(24):
            instruments.record(STAGE_DURATION, 0.05, stage="pool")
        instruments.gauge(UTILISATION, 0.75, resource="pool")

    gateway.run(60, waiting)
    (advice,) = gateway.monitor.overview(gateway.now, _START).advice
    assert advice.setting == "DATABASE_POOL_SIZE"
    assert "75%" in advice.why


def test_rules_cross_processes() -> None:
    """They are values, functions of modules at most."""
    assert (
        pickle.loads(pickle.dumps(gateway_rules(0.8, has_redis=True))).levels
        == gateway_rules(0.8, has_redis=True).levels
    )
