"""Which actors a gateway has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.monitor.client import MONITOR_NAME
from actors.optimizer.client import OPTIMIZER_NAME
from actors.optimizer.policy import Drops, Policy
from actors.optimizer.state import Mode
from cluster.composition import compose
from cluster.monitor_composition import monitor_memory, monitor_rules, monitor_sinks
from cluster.settings import Settings
from cluster.topology import desired_actors

_KNOWN: dict[str, Any] = {"database_url": "postgresql://app@db/x", "api_key_pepper": "p" * 32}


@pytest.mark.parametrize(("setting", "mode"), [("auto", Mode.AUTO), ("advise", Mode.ADVISE)])
def test_the_optimizer_is_told_its_mode(setting: str, mode: Mode) -> None:
    """On the gateway's own database it drops nothing that it has not made."""
    settings = Settings(**_KNOWN, query_optimizer=setting, query_optimizer_interval_minutes=5)
    (spec,) = (spec for spec in desired_actors(settings) if spec.name == OPTIMIZER_NAME)
    assert spec.actor_class.__name__ == "QueryOptimizerActor"
    assert (mode, 300.0, Policy(drops=Drops.OWN)) == spec.arguments[1:]


def test_an_optimizer_that_is_off_is_no_actor() -> None:
    """So nothing of it runs."""
    names = {spec.name for spec in desired_actors(Settings(**_KNOWN, query_optimizer="off"))}
    assert OPTIMIZER_NAME not in names
    assert names


def test_a_monitor_that_is_off_is_no_actor_and_nothing_is_measured() -> None:
    """PERFORMANCE_MONITORING_ENABLED: neither the monitor nor what processes would tell it."""
    on, off = (Settings(**_KNOWN, performance_monitoring_enabled=enabled) for enabled in (True, False))
    assert [MONITOR_NAME in {spec.name for spec in desired_actors(each)} for each in (on, off)] == [True, False]
    assert [compose(each).monitoring_enabled for each in (on, off)] == [True, False]


def test_the_monitor_goes_by_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its threshold, whom it tells, and what it keeps; there is an alert for Redis where there is one."""
    file = tmp_path / "settings.json"
    monkeypatch.setenv("EASYPAY_SETTINGS_FILE", str(file))
    Settings(
        **_KNOWN, performance_alert_threshold=0.5, alert_webhook_url="https://hooks.example/x", redis_url="redis://r",
        sealing_key="s" * 43,
    ).write(file)  # fmt: skip
    rules = monitor_rules()
    assert rules.capacity is not None
    assert rules.capacity.threshold == 0.5
    assert {0.5} <= {rule.threshold for rule in rules.alerts if rule.name == "ResourceUtilisationHigh"}
    assert [sink.name for sink in monitor_sinks()] == ["log", "webhook"]
    assert "RedisAway" in {rule.name for rule in rules.alerts}
    assert monitor_memory() is not None
    Settings(**_KNOWN).write(file)
    assert [sink.name for sink in monitor_sinks()] == ["log"]
    assert "RedisAway" not in {rule.name for rule in monitor_rules().alerts}
