"""What operators and Prometheus see of the monitor."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import AsyncMock, create_autospec
from uuid import UUID

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from pydantic_core import from_json

from actors.monitor.alerts import AlertState, AlertView, Severity
from actors.monitor.client import MonitorClient
from actors.monitor.instruments import Instruments
from actors.monitor.messages import Change
from actors.monitor.monitor import Monitor
from actors.monitor.silences import Silence, TooManySilences
from actors.monitor.views import AlertsView
from actors.runtime.clock import ManualClock
from actors.runtime.errors import Unavailable
from serve_app.http.operation import Call
from serve_app.middleware.authentication import Caller
from serve_app.monitoring.names import HTTP_DURATION, HTTP_REQUESTS, HTTP_RESPONSE_SIZE, STAGE_DURATION, UTILISATION
from serve_app.monitoring.rules import gateway_rules
from serve_app.ops.alerts import AlertEndpoints, Alerts, NewSilence, ShownSilence
from serve_app.ops.exposition import OPENMETRICS, exposition
from serve_app.ops.monitor_metrics import COUNTERS, GAUGES, HISTOGRAMS, monitor_families
from serve_app.ops.overview import GatewayOverview, OverviewEndpoints
from serve_app.problems import Code, Problem

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_CALLER = Caller(UUID(int=1), UUID(int=2), False, frozenset({"admin"}), None)
_AWAY = Unavailable("monitor", "away", 1.0)


def _watched() -> Monitor:
    """Return a monitor that was told twenty seconds of traffic."""
    clock = ManualClock()
    clock.advance(1000.0)
    monitor = Monitor(gateway_rules(0.8, has_redis=True), clock.monotonic())
    instruments = Instruments("gateway-1", "node-1", clock=clock)
    instruments.changed("deploy", "easypay 1")
    for _ in range(80):
        clock.advance(0.25)
        instruments.count(HTTP_REQUESTS, 5, method="POST", route="/v1/payments", status="201")
        instruments.record(HTTP_DURATION, 0.02, method="POST", route="/v1/payments")
        instruments.record(HTTP_RESPONSE_SIZE, 800, route="/v1/payments")
        instruments.record(STAGE_DURATION, 0.01, stage="begin")
        instruments.gauge(UTILISATION, 0.9, resource="queue")
        instruments.count("merchant_signups", campaign="spring")
        instruments.count("not a name")
        monitor.take(instruments.take(), clock.monotonic())
        monitor.step(clock.monotonic(), clock.now())
    return monitor


def _client(monitor: Monitor) -> MonitorClient:
    client = create_autospec(MonitorClient, instance=True)
    client.overview = AsyncMock(return_value=monitor.overview(1020.0, _AT))
    client.alerts = AsyncMock(return_value=monitor.alerts())
    found: MonitorClient = client
    return found


class _Audit:
    """Keeps what was written down."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str]] = []

    async def note(self, _: Call, action: str, object_id: str, result: str) -> None:
        self.entries.append((action, object_id, result))


def _call(body: BaseModel | None = None, **parameters: str) -> Call:
    return Call("POST", "/ops/api/alerts/silences", parameters, "r", caller=_CALLER, body=body)


async def test_the_overview_is_as_it_is_documented() -> None:
    """Every member, by the model that the documentation shows; numbers as they were measured."""
    answer = await OverviewEndpoints(_client(_watched())).show(_call())
    shown = GatewayOverview.model_validate_json(answer.body)
    assert from_json(answer.body).keys() == GatewayOverview.model_fields.keys()
    assert shown.windows.keys() == {"1s", "10s", "1m"}
    assert shown.windows["10s"].requests_per_s == pytest.approx(20)
    assert len(shown.history) >= 18
    upper_ms, count = shown.history[-1].latency[0]
    assert upper_ms == pytest.approx(20, rel=0.1)
    assert count == 4
    (wait,) = shown.waits
    assert wait.stage == "begin"
    assert wait.share == pytest.approx(0.5)
    (queue,) = shown.resources
    assert (queue.resource, queue.utilisation, queue.threshold, queue.limit) == ("queue", 0.9, 0.8, 1.0)
    assert [change.what for change in shown.changes] == ["easypay 1"]
    assert [process.process for process in shown.processes] == ["gateway-1"]
    assert shown.level.level in ("fair", "poor")
    assert shown.payments == []
    assert [(each.objective, each.window_s, each.threshold) for each in shown.budgets] == [
        (objective, window_s, threshold)
        for objective in ("availability", "payments")
        for window_s, threshold in ((3600, 14.4), (21_600, 6), (259_200, 1))
    ]
    assert all(each.burn == each.short_burn == 0 for each in shown.budgets)


async def test_a_monitor_that_is_away_is_an_error_that_passes() -> None:
    """503 with the time to wait, whatever is asked."""
    client = create_autospec(MonitorClient, instance=True)
    for method in ("overview", "alerts", "silence", "unsilence"):
        setattr(client, method, AsyncMock(side_effect=_AWAY))
    audit = _Audit()
    alerts = AlertEndpoints(client, audit)
    silence = _call(NewSilence(alert="QueueFull", minutes=1, why="x"))
    for asked in (
        OverviewEndpoints(client).show(_call()),
        alerts.show(_call()),
        alerts.silence(silence),
        alerts.unsilence(_call(silence_id="x")),
    ):
        with pytest.raises(Problem) as raised:
            await asked
        assert raised.value.code is Code.OVERLOADED
    assert audit.entries == [("alert.silence", "QueueFull", "failed"), ("alert.unsilence", "x", "failed")]


async def test_alerts_are_shown_with_what_changed_before() -> None:
    """And with until when they are silent."""
    change = Change(_AT, "deploy", "easypay 2")
    alert = AlertView(
        "QueueFull-1", "QueueFull", (("resource", "queue"),), Severity.PAGE, AlertState.FIRING, _AT, 1.0, 0.95, "why",
        (change,), _AT,
    )  # fmt: skip
    client = create_autospec(MonitorClient, instance=True)
    client.alerts = AsyncMock(return_value=AlertsView((alert,), (Silence("s", "QueueFull", (), _AT, "key_1", "w"),)))
    answer = await AlertEndpoints(client, _Audit()).show(_call())
    shown = Alerts.model_validate_json(answer.body)
    assert shown.alerts[0].labels == {"resource": "queue"}
    assert shown.alerts[0].changes[0].what == "easypay 2"
    assert shown.alerts[0].silenced_until == _AT
    assert shown.silences[0].by == "key_1"


async def test_a_silence_is_made_ended_and_written_down() -> None:
    """By the key that asked; one that is not there is not found, and one too many is a conflict."""
    silence = Silence("s-1", "QueueFull", (("resource", "queue"),), _AT, "key_2", "why")
    client = create_autospec(MonitorClient, instance=True)
    client.silence = AsyncMock(side_effect=[silence, TooManySilences("too many")])
    client.unsilence = AsyncMock(side_effect=[True, False])
    audit = _Audit()
    endpoints = AlertEndpoints(client, audit)
    wanted = NewSilence(alert="QueueFull", labels={"resource": "queue"}, minutes=2, why="why")
    made = await endpoints.silence(_call(wanted))
    assert made.status == 201
    assert ShownSilence.model_validate_json(made.body).id == "s-1"
    client.silence.assert_awaited_with(
        "QueueFull", 120.0, "key_00000000000000000000000000000001", "why", (("resource", "queue"),)
    )
    assert (await endpoints.unsilence(_call(silence_id="s-1"))).status == 204
    for asked, code in (
        (endpoints.silence(_call(wanted)), Code.CONFLICT),
        (endpoints.unsilence(_call(silence_id="s-1")), Code.NOT_FOUND),
        (
            endpoints.silence(_call(NewSilence(alert="A", minutes=1, why="card 4242424242424242"))),
            Code.VALIDATION_FAILED,
        ),
    ):
        with pytest.raises(Problem) as raised:
            await asked
        assert raised.value.code is code
    assert audit.entries == [("alert.silence", "QueueFull s-1", "succeeded"), ("alert.unsilence", "s-1", "succeeded")]


def test_every_promised_name_is_scraped_whether_it_was_told_or_not() -> None:
    """With its type and an explanation, in both formats; custom measures are there under their own names."""
    families = list(monitor_families(_watched().totals()))
    plain = {family.name: family for family in text_string_to_metric_families(exposition(families).decode())}
    openmetrics = {family.name: family for family in parse_openmetrics(exposition(families, OPENMETRICS).decode())}  # type: ignore[no-untyped-call]
    for kind, names in (("counter", COUNTERS), ("gauge", GAUGES), ("histogram", HISTOGRAMS)):
        for name in names:
            family = plain[name.removesuffix("_total")]
            assert (family.type, family.documentation[-1]) == (kind, ".")
            assert openmetrics[name.removesuffix("_total")].type == kind
    (signups,) = plain["merchant_signups"].samples
    assert (signups.name, signups.labels, signups.value) == ("merchant_signups_total", {"campaign": "spring"}, 80)
    assert "not a name" not in plain
    durations = {
        sample.labels["le"]: sample.value for sample in plain[HTTP_DURATION].samples if sample.name.endswith("_bucket")
    }
    assert (durations["0.01"], durations["0.05"], durations["+Inf"]) == (0, 80, 80)


def test_a_monitor_that_is_away_has_no_series() -> None:
    """Or its counters would look as if they had been reset."""
    text = exposition(monitor_families(None)).decode()
    assert "easypay_monitor_up 0.0" in text.splitlines()
    assert text.count("# TYPE") == 1


def test_of_two_families_of_one_name_the_first_is_told() -> None:
    """Any code may choose a name for what it counts; it must not spoil the scrape."""
    twice = [*monitor_families(_watched().totals()), *monitor_families(None)]
    names = [family.name for family in text_string_to_metric_families(exposition(twice).decode())]
    assert len(names) == len(set(names))
    assert "easypay_monitor_up 1.0" in exposition(twice).decode().splitlines()
