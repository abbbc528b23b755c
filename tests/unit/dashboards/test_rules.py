"""Alert and recording rules, by Prometheus' own tools where they are on PATH."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.exposed_metrics import DASHBOARDS, rules

_CONFIGURATION = DASHBOARDS / "prometheus"
_CASES = Path(__file__).with_name("rule_cases.yaml")


def _promtool(*arguments: str, folder: Path) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Return a folder with the configuration and a key, as an operator lays it out."""
    shutil.copytree(_CONFIGURATION, tmp_path, dirs_exist_ok=True)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "admin_key").write_text("sk_test_x")
    (tmp_path / "targets" / "ray").mkdir()
    (tmp_path / "targets" / "ray" / "ray.json").write_text('[{"labels": {"job": "x"}, "targets": ["127.0.0.1:1"]}]')
    return tmp_path


def test_promtool_accepts_the_configuration(configuration: Path) -> None:
    """And the rules that it names."""
    told = _promtool("check", "config", "prometheus.yaml", folder=configuration)
    assert "2 rule files found" in told
    assert "WARNING" not in told


def test_promtool_finds_no_rule_that_contradicts_another(configuration: Path) -> None:
    """Its linter as well."""
    files = [f"rules/{file.name}" for file in (_CONFIGURATION / "rules").iterdir()]
    told = _promtool("check", "rules", "--lint-fatal", *files, folder=configuration)
    assert "SUCCESS" in told


def test_rules_judge_as_they_should(configuration: Path) -> None:
    """The cases in `rule_cases.yaml`: what alerts, when it ends, and what does not alert."""
    shutil.copy(_CASES, configuration)
    assert "SUCCESS" in _promtool("test", "rules", _CASES.name, folder=configuration)


def _alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def test_there_is_a_rule_for_each_alert_of_the_monitor() -> None:
    """By the same name, so that a runbook holds for both."""
    assert _alerts().keys() >= {
        "ResponseTimeHigh",
        "CacheHitRateLow",
        "CacheTooSmall",
        "ErrorRateHigh",
        "ResourceUtilisationHigh",
        "BreakerOpen",
        "SloBurnFast",
        "SloBurnSlow",
        "RedisAway",
        "ProcessorFailing",
        "DatabaseSlow",
        "QueueFull",
        "ReplicaLost",
    }


def test_whoever_is_woken_is_told_what_to_do() -> None:
    """Each alert has a severity, a sentence of what is wrong and one of where to look."""
    for name, alert in _alerts().items():
        assert alert["labels"]["severity"] in ("page", "ticket"), name
        assert alert["annotations"]["summary"].endswith("."), name
        assert alert["annotations"]["description"], name


def test_every_alert_has_a_case() -> None:
    """An alert that no test has seen ring may never ring."""
    cases = yaml.safe_load(_CASES.read_text(encoding="utf-8"))
    rung = {
        case["alertname"] for test in cases["tests"] for case in test.get("alert_rule_test", ()) if case["exp_alerts"]
    }
    assert _alerts().keys() - rung == set()
