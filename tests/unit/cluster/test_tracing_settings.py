"""The standard environment of an exporter of traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.ray_head import _inherited
from cluster.settings import Settings, SettingsError, read_environment, read_settings
from cluster.tracing_settings import tracing_config


@pytest.fixture(autouse=True)
def _no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    """Read an environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_environment()


def test_without_an_endpoint_nothing_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default of OpenTelemetry would send to a port of this machine."""
    assert tracing_config(settings(monkeypatch, OTEL_SERVICE_NAME="x", TRACE_SAMPLE_RATIO="1")) is None


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, off: dict[str, str]) -> None:
    """With the endpoint left in place."""
    assert tracing_config(settings(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT="http://a:4318", **off)) is None


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318/"}, "http://a:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://a/in"}, "https://a/in"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/in"},
            "http://b/in",
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318/v1/traces"),
    ],
)
def test_the_endpoint_is_as_the_specification_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], endpoint: str
) -> None:
    """The general one is a base, that of traces is whole."""
    config = tracing_config(settings(monkeypatch, **environment))
    assert config is not None
    assert config.endpoint == endpoint
    assert config.sample_ratio == 0.01


def test_all_of_it_reaches_the_exporter_through_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which Ray's processes read in place of the environment; what may be a key is shown by nothing."""
    read = settings(
        monkeypatch,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://user:pw-7@a",
        OTEL_EXPORTER_OTLP_HEADERS="x-key=abc%3D7, x-team=pay",
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="2500",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=prod,service.name=other",
        OTEL_SERVICE_NAME="pay",
        TRACE_SAMPLE_RATIO="0.25",
    )
    read.write(tmp_path / "settings.json")
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.delenv(name)
    config = tracing_config(read_settings(tmp_path / "settings.json"))
    assert config is not None
    assert config.headers == {"x-key": "abc=7", "x-team": "pay"}
    assert (config.timeout_s, config.compression, config.sample_ratio) == (2.5, "gzip", 0.25)
    assert config.resource == {"deployment.environment.name": "prod", "service.name": "pay"}
    for text in (repr(read), repr(config)):
        assert not [secret for secret in ("abc", "pw-7") if secret in text]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRACE_SAMPLE_RATIO", "1.5"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a-key-that-is-no-pair"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_RESOURCE_ATTRIBUTES", "nonsense"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """It may be a key."""
    with pytest.raises(SettingsError) as raised:
        settings(monkeypatch, **{name: value})
    assert name in str(raised.value)
    assert value == "0" or value not in str(raised.value)


def test_ray_s_own_processes_do_not_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would send their own metrics with the collector's key."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    inherited: dict[str, Any] = _inherited()
    assert inherited
    assert not [name for name in inherited if name.startswith("OTEL_")]
