"""What `easypay top` and `easypay status` make of what the monitor says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from actors.monitor.instruments import Instruments
from actors.monitor.monitor import Monitor
from actors.runtime.clock import ManualClock
from cluster.cli import status as status_command
from cluster.cli import top
from cluster.cli.app import command_line
from cluster.cli.client import Answer
from cluster.cli.overview_screen import away, bar, draw, spark
from serve_app.monitoring.names import HTTP_DURATION, HTTP_REQUESTS, STAGE_DURATION
from serve_app.monitoring.rules import gateway_rules
from serve_app.ops.overview import overview_document


def _window(**members: Any) -> dict[str, Any]:
    quantiles = {"p50_ms": 12.5, "p95_ms": 40.0, "p99_ms": 81.25}
    return {
        "requests_per_s": 120.5,
        "payments_per_s": 80.0,
        "errors_per_s": 0.0,
        "error_ratio": 0.0,
        **quantiles,
        **members,
    }


def _second(rate: float) -> dict[str, Any]:
    return {"requests_per_s": rate, "payments_per_s": rate, "error_ratio": 0, "p50_ms": None, "p99_ms": 1}


def _wait(stage: str, share: float) -> dict[str, Any]:
    return {"stage": stage, "p50_ms": 0.5, "p99_ms": 3.0, "share": share}


def _overview() -> dict[str, Any]:
    return {
        "at": "2026-01-01T00:00:00Z",
        "level": {"level": "fair", "reason": "p99 is 81 ms"},
        "levels": [],
        "windows": {"1s": _window(), "10s": _window(error_ratio=0.25), "1m": _window(p50_ms=None)},
        "history": [_second(n) for n in (1, 2)],
        "waits": [_wait("pool", 0.1), _wait("processor", 0.8)],
        "resources": [{"resource": "queue [x]", "utilisation": 0.9, "threshold": 0.8}],
        "payments": [{"status": "captured", "currency": "EUR", "per_s": 3.5, "amount_minor_per_s": 7000}],
        "trends": [],
        "forecast": {
            "arrival_per_s_in_60s": 150.0, "interval": [120.0, 180.0], "saturates_in_s": 42.0, "resource": "pool",
        },
        "recommendations": [{"change": "more replicas", "why": "the loop is late", "expected_gain": "20 %"}],
        "changes": [{"at": "2026-01-01T00:00:00Z", "kind": "breaker", "what": "redis opened"}],
        "processes": [],
    }  # fmt: skip


def _alert(name: str, **members: Any) -> dict[str, Any]:
    known = {"id": "a", "name": name, "labels": {}, "severity": "ticket", "state": "firing", "since": "now"}
    return {**known, "value": 1.0, "threshold": 0.5, "reason": f"{name} because", "changes": [], **members}


def _seen(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"url": "http://gateway", "overview": _overview(), "alerts": {"alerts": list(alerts), "silences": []}}


def _text(shown: RenderableType) -> str:
    console = Console(width=160, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def test_the_screen_shows_what_the_monitor_says() -> None:
    """Level and reason, windows, stages, resources, payments, forecast, advice and changes; brackets are text."""
    text = _text(draw(_seen()))
    for words in (
        "Fair",
        "p99 is 81 ms",
        "120.5",
        "25.00%",
        "81.2",
        "processor",
        "80%",
        "queue [x]",
        "90%",
        "captured",
        "150.0 requests/s in a minute (120.0 to 180.0); pool is full in 42 s",
        "more replicas: the loop is late (20 %)",
        "breaker: redis opened",
        "No alert.",
    ):
        assert words in text, words
    assert text.index("processor") < text.index("pool ")


def _documents_with_nulls() -> Iterator[dict[str, Any]]:
    """Yield what a monitor says that has just begun, that has heard one payment, and that has heard none since."""
    clock = ManualClock()
    clock.advance(1000.0)
    monitor = Monitor(gateway_rules(0.8, has_redis=True), clock.monotonic())
    instruments = Instruments("gateway-1", "node-1", clock=clock)

    def said_after(seconds: int) -> dict[str, Any]:
        for _ in range(seconds * 4):
            clock.advance(0.25)
            monitor.take(instruments.take(), clock.monotonic())
            monitor.step(clock.monotonic(), clock.now())
        overview = overview_document(monitor.overview(clock.monotonic(), datetime(2026, 1, 1, tzinfo=UTC)))
        said: dict[str, Any] = json.loads(json.dumps(overview, default=str))
        return said

    yield said_after(0)
    instruments.count(HTTP_REQUESTS, method="POST", route="/v1/payments", status="201")
    instruments.record(HTTP_DURATION, 0.02, method="POST", route="/v1/payments")
    instruments.record(STAGE_DURATION, 0.01, stage="begin")
    yield said_after(5)
    yield said_after(120)


def test_what_the_monitor_cannot_say_is_left_out() -> None:
    """A gateway that has just begun and one that nobody pays at have figures that are null."""
    documents = list(_documents_with_nulls())
    assert all(each["windows"]["1s"]["error_ratio"] is None for each in documents)
    assert documents[0]["forecast"]["interval"] is None
    for overview in documents:
        text = _text(draw({**_seen(), "overview": overview}))
        assert "None" not in text
        assert ("Forecast" in text) is (overview["forecast"]["interval"] is not None)
        health = {"level": overview["level"], "last_minute": overview["windows"]["1m"], "alerts": []}
        line = status_command._health_lines(health)[1]
        assert line.startswith("Last minute: ")
        assert ("failed" in line) is (overview["windows"]["1m"]["error_ratio"] is not None)


@pytest.mark.parametrize("figure", ["share", "p50_ms", "p99_ms"])
def test_a_stage_without_a_figure_is_listed(figure: str) -> None:
    """Below those that have one."""
    seen = _seen()
    seen["overview"]["waits"][0][figure] = None
    text = _text(draw(seen))
    assert text.index("processor") < text.index("pool ")


def test_the_newest_changes_are_shown() -> None:
    """The monitor says them first."""
    seen = _seen()
    seen["overview"]["changes"] = [{"at": "now", "kind": "scale", "what": f"change {n}"} for n in (5, 4, 3, 2, 1)]
    text = _text(draw(seen))
    assert all((f"change {n}" in text) is (n >= 3) for n in range(1, 6))


def test_what_wakes_somebody_stands_first() -> None:
    """Then what rings, then what may; what has resolved is not shown."""
    text = _text(
        draw(
            _seen(
                _alert("CacheHitRateLow", state="pending"),
                _alert("DatabaseSlow", silenced_until="soon"),
                _alert("ErrorRateHigh", severity="page", labels={"route": "/v1/payments"}),
                _alert("RedisAway", state="resolved"),
            )
        )
    )
    assert text.index("ErrorRateHigh") < text.index("DatabaseSlow") < text.index("CacheHitRateLow")
    assert "RedisAway" not in text
    assert "route=/v1/payments" in text
    assert "silenced until soon" in text


def test_while_the_gateway_is_away_the_last_screen_stays() -> None:
    """With the reason above it."""
    text = _text(away("it does not answer", _seen()))
    assert text.index("it does not answer") < text.index("Fair")
    assert "waiting for the gateway" in _text(away("nothing yet", None))


def test_lines_and_bars_are_to_scale() -> None:
    """From 0 on; nothing at all is a flat line."""
    assert spark([0, 4, 8]) == "▁▅█"
    assert spark([0, 0]) == "▁▁"
    assert spark([]) == ""
    assert spark(range(100), 3) == "███"
    assert bar(0.5, 0.8).count("█") == 10
    assert "[red]" in bar(0.8, 0.8)
    assert bar(7, 0.8).count("█") == 20


def test_nothing_runs_is_said_at_once(tmp_path: Any) -> None:
    """With the exit status of a fault."""
    done = CliRunner().invoke(command_line(), ["top", "--once", "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "No gateway runs" in done.output


@pytest.mark.parametrize("status", [404, 503])
def test_a_monitor_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """It may be starting again."""
    monkeypatch.setattr(top, "request", lambda *_, **__: Answer(status, {}))
    with pytest.raises(top.Unavailable, match=str(status)):
        top._ask({"url": "http://gateway", "admin_key": "k"}, "overview")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_top_goes_on_while_the_gateway_is_away(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    """It shows why, and then what there is to show again; Ctrl-C is an orderly end."""
    looks: Iterator[dict[str, Any] | BaseException] = iter(
        [_seen(), top.Unavailable("it starts again"), _seen(), KeyboardInterrupt()]
    )

    def look(_: object) -> dict[str, Any]:
        found = next(looks)
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr(top, "look", look)
    done = CliRunner().invoke(command_line(), ["top", "--every", "0.2", *options])
    assert (done.exit_code, list(looks)) == (0, [])
    if options:
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line.get("unavailable") for line in lines] == [None, "it starts again", None]
    else:
        assert "it starts again" in done.output


_FACTS = {"url": "http://gateway", "admin_key": "k"}


def test_status_says_the_level_the_last_minute_and_what_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its JSON, and in a line each for people."""
    seen = _seen(_alert("ErrorRateHigh", severity="page"), _alert("RedisAway", state="resolved"))
    monkeypatch.setattr(status_command, "request", lambda url, **_: Answer(200, seen[url.rpartition("/")[2]]))
    health = status_command._health(_FACTS)
    assert health["level"] == {"level": "fair", "reason": "p99 is 81 ms"}
    assert [alert["name"] for alert in health["alerts"]] == ["ErrorRateHigh"]
    lines = status_command._health_lines(health)
    assert lines[0] == "Level fair: p99 is 81 ms"
    assert lines[1] == "Last minute: 120.5 requests/s, 80.0 payments/s, 0.00% failed, p99 81 ms"
    assert lines[2].endswith("ErrorRateHigh (page): ErrorRateHigh because")


def test_status_does_without_a_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for most when something is wrong."""
    monkeypatch.setattr(status_command, "request", lambda *_, **__: Answer(404, {}))
    assert status_command._health(_FACTS) == {}

    def refuse(*_: object, **__: object) -> Answer:
        raise OSError("nobody")

    monkeypatch.setattr(status_command, "request", refuse)
    assert status_command._health(_FACTS) == {}
