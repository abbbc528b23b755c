"""The monitor as a whole, in virtual time: faults are found and end, noise raises nothing, a restart changes little."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable

import pytest

from actors.monitor.advice import Advice, AdviceRule, Condition
from actors.monitor.alerts import AlertRule, AlertState, Severity
from actors.monitor.burn import Slo
from actors.monitor.instruments import Instruments
from actors.monitor.levels import Level, LevelRule
from actors.monitor.measures import Measure, Quantile, Rate, Ratio, Value, select
from actors.monitor.rules import CapacityRule, Figure, Rules, Table
from actors.monitor.saved import decoded, encoded
from actors.monitor.series import series
from actors.monitor.silences import Silence
from tests.unit.monitor.makers import MINUTE, Fleet

REQUESTS = select("requests_total")
ERRORS = select("requests_total", status="5*")
P99: Measure = Quantile(select("request_seconds"), 0.99, scale=1000)
ERROR_RATIO: Measure = Ratio(ERRORS, REQUESTS, at_least=20)
USED: Measure = Value(select("used_ratio"), by=("resource",))


def _more_pool(values: tuple[float, ...]) -> Advice | None:
    used, waits = values
    return Advice("more connections", f"{used:.0%} are used, {waits:.0f} wait", "waits end", "DATABASE_POOL_SIZE")


RULES = Rules(
    figures=(
        Figure("requests_per_s", Rate(REQUESTS)),
        Figure("p99_ms", P99),
        Figure("error_ratio", Ratio(ERRORS, REQUESTS)),
    ),
    tables=(Table("statuses", (Figure("per_s", Rate(REQUESTS, by=("status",))),)),),
    levels=(
        LevelRule("p99", P99, (100, 250, 500, 1000), "ms"),
        LevelRule("errors", ERROR_RATIO, (0.005, 0.01, 0.05, 0.2)),
        LevelRule("hits", Value(select("hit_ratio")), (0.9, 0.8, 0.7, 0.3), higher_is_better=True),
    ),
    alerts=(
        AlertRule("ResponseTimeHigh", P99, 500, "p99 is {value:.0f} ms, above {threshold:.0f} ms", Severity.PAGE),
        AlertRule("ErrorRateHigh", ERROR_RATIO, 0.05, "{value:.1%} fail", Severity.PAGE),
        AlertRule("CacheHitRateLow", Value(select("hit_ratio")), 0.6, "{value:.0%} hit", above=False, clear=0.7),
        AlertRule("ResourceUtilisationHigh", USED, 0.8, "{resource} is {value:.0%} used"),
    ),
    slos=(Slo("answers", ERRORS, REQUESTS),),
    capacity=CapacityRule(USED, by_arrivals=("pool",)),
    advice=(AdviceRule("pool", (Condition(USED, 0.7), Condition(Value(select("waiting")), 5)), _more_pool),),
    arrivals=Rate(REQUESTS),
    heat=select("request_seconds"),
    trends=(Figure("requests_per_s", Rate(REQUESTS)), Figure("p99_ms", P99)),
)


class Load:
    """What processes of a gateway do, with noise from a seed: heavy tails, a few errors, resources that waver."""

    def __init__(self, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.latency_s = 0.03
        self.errors = 0.0003
        self.hits = 0.85
        self.used = 0.6
        self.requests = 20

    def __call__(self, process: Instruments) -> None:
        """Serve a quarter of a second's requests."""
        for _ in range(self.chance.randint(self.requests // 2, self.requests * 3 // 2)):
            status = "500" if self.chance.random() < self.errors else "201"
            process.count("requests_total", status=status)
            process.record("request_seconds", self.latency_s * self.chance.lognormvariate(0, 0.7))
        process.gauge("hit_ratio", min(1.0, max(0.0, self.hits + self.chance.gauss(0, 0.03))))
        process.gauge("used_ratio", min(1.0, max(0.0, self.used + self.chance.gauss(0, 0.06))), resource="pool")


@pytest.mark.parametrize("seed", [1, 2])
def test_ten_minutes_of_noisy_load_raise_nothing(seed: int) -> None:
    """No alert fires or is told, no level changes to worse than good."""
    fleet, load = Fleet(RULES), Load(seed)
    levels = set()
    for _ in range(600):
        fleet.run(1, load)
        levels.add(fleet.monitor.totals().gauges[series("easypay_level", metric="overall")])
    assert fleet.delivered == []
    assert set(fleet.states().values()) <= {AlertState.PENDING}
    assert min(levels) >= Level.GOOD


def _slow(load: Load) -> None:
    load.latency_s = 0.8


def _failing(load: Load) -> None:
    load.errors = 0.3


def _cold(load: Load) -> None:
    load.hits = 0.3


def _full(load: Load) -> None:
    load.used = 0.97


@pytest.mark.parametrize(
    ("name", "fault", "level_max"),
    [
        ("ResponseTimeHigh", _slow, Level.CRITICAL),
        ("ErrorRateHigh", _failing, Level.CRITICAL),
        ("CacheHitRateLow", _cold, Level.POOR),
        ("ResourceUtilisationHigh", _full, Level.FAIR),
    ],
)
def test_a_fault_fires_within_ten_seconds_and_resolves_within_thirty(
    name: str, fault: Callable[[Load], None], level_max: Level
) -> None:
    """The level agrees, each is told once, and what was changed before it is said."""
    fleet, load, faulty = Fleet(RULES, processes=2), Load(), Load()
    fault(faulty)
    fleet.run(60, load)
    fleet.processes[0].changed("deploy", "version 2")
    fleet.until(lambda: fleet.firing(name), 10, faulty)
    fleet.run(20, faulty)
    assert fleet.monitor.overview(0, fleet.clock.now()).level.level <= level_max
    fleet.until(lambda: fleet.states()[name] is AlertState.RESOLVED, 30, load)
    told = [(each.name, each.state) for each in fleet.delivered if each.name == name]
    assert told == [(name, AlertState.FIRING), (name, AlertState.RESOLVED)]
    assert [change.what for change in fleet.delivered[0].changes] == ["version 2"]
    fleet.run(60, load)
    assert not any(state is AlertState.FIRING for state in fleet.states().values())
    assert fleet.monitor.overview(0, fleet.clock.now()).level.level >= Level.GOOD


def test_a_burning_budget_fires() -> None:
    """Beside the threshold's own alert, with both of its windows in the reason."""
    fleet, load = Fleet(RULES, processes=2), Load()
    fleet.run(60, load)
    _failing(load)
    fleet.until(lambda: fleet.firing("SloBurnFast"), 240, load)
    (alert,) = [each for each in fleet.delivered if each.name == "SloBurnFast" and dict(each.labels)["window"] == "1h"]
    assert alert.severity is Severity.PAGE
    assert "over 1h" in alert.reason


def test_an_overview_says_how_it_goes() -> None:
    """Windows, history, tables, resources, and where the figures go."""
    fleet, load = Fleet(RULES, processes=2), Load()
    fleet.run(130, load)
    overview = fleet.monitor.overview(fleet.clock.monotonic(), fleet.clock.now())
    assert overview.level.level >= Level.GOOD
    for window in ("1s", "10s", "1m"):
        assert overview.windows[window]["requests_per_s"] == pytest.approx(160, rel=0.3)
        assert overview.windows[window]["p99_ms"] == pytest.approx(153, rel=0.5)
    assert len(overview.history) == 120
    ats = [second.at for second in overview.history]
    assert ats == sorted(ats)
    assert (ats[-1] - ats[0]).total_seconds() == pytest.approx(119)
    assert sum(count for _, count in overview.history[-1].latency) == pytest.approx(160, rel=0.4)
    (row,) = [row for row in overview.tables["statuses"] if row.labels == (("status", "201"),)]
    assert row.figures["per_s"] == pytest.approx(160, rel=0.2)
    assert [resource.resource for resource in overview.resources] == ["pool"]
    assert {trend.metric for trend in overview.trends} == {"requests_per_s", "p99_ms"}
    assert overview.forecast.arrivals is not None
    assert overview.forecast.arrivals.low <= 160 <= overview.forecast.arrivals.high
    assert overview.forecast.saturates_in_s is None
    assert [process.process for process in overview.processes] == ["p0", "p1"]
    assert pickle.loads(pickle.dumps(overview)) == overview
    assert len(pickle.dumps(overview)) < 300_000


def test_it_foretells_what_rises_and_says_what_to_do() -> None:
    """Arrivals rise and a pool with them: it will be full, and more connections are advised."""
    fleet, load = Fleet(RULES), Load()
    for _ in range(150):
        load.used = min(0.95, load.used + 0.0025)
        load.requests += 1
        fleet.processes[0].gauge("waiting", 12)
        fleet.run(2, load)
        if fleet.monitor.overview(0, fleet.clock.now()).advice:
            break
    overview = fleet.monitor.overview(fleet.clock.monotonic(), fleet.clock.now())
    assert overview.forecast.resource == "pool"
    assert overview.forecast.saturates_in_s is not None
    assert {trend.metric: trend.direction for trend in overview.trends}["requests_per_s"] == "rising"
    (advice,) = overview.advice
    assert (advice.change, advice.setting) == ("more connections", "DATABASE_POOL_SIZE")
    assert advice.why.endswith("12 wait")


def test_a_silenced_alert_is_judged_and_told_to_nobody() -> None:
    """Until its silence ends."""
    fleet, load = Fleet(RULES), Load()
    silence = Silence("s", "ErrorRateHigh", (), fleet.clock.now() + 2 * MINUTE, "key_1", "known")
    fleet.monitor.silence(silence)
    _failing(load)
    fleet.run(60, load)
    assert fleet.firing("ErrorRateHigh")
    assert "ErrorRateHigh" not in {each.name for each in fleet.delivered}
    (view,) = [each for each in fleet.monitor.alerts().alerts if each.name == "ErrorRateHigh"]
    assert view.silenced_until == silence.until
    fleet.run(65, load)
    assert "ErrorRateHigh" in {each.name for each in fleet.delivered}
    assert fleet.monitor.alerts().silences == ()
    fleet.monitor.silence(silence._replace(until=fleet.clock.now() + MINUTE))
    assert fleet.monitor.unsilence("s")
    assert not fleet.monitor.unsilence("s")


def test_a_restart_goes_on() -> None:
    """What fires goes on and is not told again, silences hold, budgets are as far used up; then it resolves."""
    fleet, load = Fleet(RULES, processes=2), Load()
    fleet.monitor.silence(Silence("s", "Other", (), fleet.clock.now() + 10 * MINUTE, "key_1", "known"))
    _failing(load)
    fleet.run(30, load)
    burns = fleet.monitor.overview(0, fleet.clock.now()).burns
    told = list(fleet.delivered)
    saved = fleet.monitor.save(fleet.clock.monotonic(), fleet.clock.now())
    text = encoded(saved)
    assert decoded(text) == saved
    assert decoded(text.replace(b'"unknown_s":60.0', b'"x":0')) == saved, "what an earlier version saved"
    fleet.restarted()
    assert fleet.firing("ErrorRateHigh")
    fleet.run(10, load)
    assert fleet.delivered == told
    assert [silence.id for silence in fleet.monitor.alerts().silences] == ["s"]
    again = fleet.monitor.overview(0, fleet.clock.now()).burns
    assert [view.bad for view in again] > [view.bad for view in burns]
    load.errors = 0.0
    fleet.until(lambda: fleet.states()["ErrorRateHigh"] is AlertState.RESOLVED, 30, load)


_LIST_OF_BURNS = b'{"version":1,"at":"2026-01-01","alerts":[],"silences":[],"burns":[],"changes":[]}'


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"version":2}', b"\xff\x00", _LIST_OF_BURNS])
def test_what_was_not_saved_by_a_monitor_is_refused(text: bytes) -> None:
    """By one error, whatever it is."""
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kind is meant
        decoded(text)


def test_what_is_saved_is_small_and_readable() -> None:
    """JSON, some kilobytes."""
    fleet = Fleet(RULES)

    def steady(process: Instruments) -> None:
        process.count("requests_total", 10, status="201")

    fleet.run(400, steady)
    text = encoded(fleet.monitor.save(fleet.clock.monotonic(), fleet.clock.now()))
    assert len(text) < 30_000
    assert json.loads(text)["version"] == 1


def test_a_rule_that_fails_silences_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once."""
    broken = AlertRule("Broken", USED, 0.1, "{no_such_label}")
    fleet, load = Fleet(Rules(alerts=(broken, *RULES.alerts))), Load()
    _full(load)
    fleet.run(20, load)
    assert fleet.firing("ResourceUtilisationHigh")
    assert len([record for record in caplog.records if "Broken" in record.getMessage()]) == 1


def test_a_scrape_shows_what_was_judged() -> None:
    """Alerts by state, levels by metric, processes and reports."""
    fleet, load = Fleet(RULES, processes=3), Load()
    _full(load)
    fleet.run(20, load)
    totals = fleet.monitor.totals()
    key = series("easypay_alerts", alert="ResourceUtilisationHigh", severity="ticket", state="firing")
    assert totals.gauges[key] == 1
    assert totals.gauges[series("easypay_level", metric="overall")] == Level.FAIR
    assert totals.gauges[series("easypay_monitor_processes")] == 3
    assert totals.counters[series("easypay_monitor_reports_total")] == 240
