"""The environment as the program sees it, and what is said about a wrong value."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cluster.settings import (
    SETTINGS_FILE_VARIABLE,
    Settings,
    SettingsError,
    load_settings,
    read_environment,
    read_settings,
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*(field.upper() for field in Settings.model_fields), SETTINGS_FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_those_of_the_public_contract() -> None:
    """An empty environment gives the documented defaults."""
    settings = read_environment()
    assert settings.database_url is None
    assert (settings.database_pool_size, settings.database_max_overflow) == (20, 30)
    assert settings.connection_budget == 50
    assert (settings.redis_pool_size, settings.max_queue_size, settings.max_workers) == (10, 1000, 0)
    assert (settings.rate_limit_per_minute, settings.performance_alert_threshold) == (6000, 0.8)
    assert settings.rate_limit_unauthenticated_per_minute == 6000
    assert settings.rate_limit_address_per_minute == 600
    assert (settings.http_host, settings.http_port, settings.listens_publicly) == ("127.0.0.1", 8000, False)
    assert settings.performance_monitoring_enabled is True
    assert settings.webhook_allow_loopback is False
    assert settings.compression_enabled is True
    assert (settings.authorization_lifetime_days, settings.idempotency_key_hours) == (7, 24)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_POOL_SIZE", "many", "valid integer"),
        ("DATABASE_POOL_SIZE", "0", "greater than 0"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x", "must start with postgresql://"),
        ("DATABASE_REPLICA_URLS", "postgresql://a/x,http://b", "must start with postgresql://"),
        ("REDIS_URL", "localhost:6379", "must start with redis://"),
        ("PERFORMANCE_ALERT_THRESHOLD", "80", "less than or equal to 1"),
        ("ALERT_WEBHOOK_URL", "ftp://hooks.example", "must start with http://"),
        ("RATE_LIMIT_PER_MINUTE", "-1", "greater than or equal to 0"),
        ("RATE_LIMIT_UNAUTHENTICATED_PER_MINUTE", "-1", "greater than or equal to 0"),
        ("RATE_LIMIT_ADDRESS_PER_MINUTE", "-1", "greater than or equal to 0"),
        ("HTTP_PORT", "70000", "less than or equal to 65535"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,nonsense", "nonsense"),
        ("TLS_CERTIFICATE", "/no/such/file.pem", "no such file"),
        ("WEBHOOK_ALLOW_LOOPBACK", "perhaps", "valid boolean"),
        ("COMPRESSION_ENABLED", "gzip", "valid boolean"),
        ("API_KEY_PEPPER", "short", "at least 32"),
        ("PROCESSOR_CALLBACK_SECRET", "hunter2", "whsec_ and 24 to 64 bytes"),
        ("PROCESSOR_CALLBACK_SECRET", "whsec_hunter2", "whsec_ and 24 to 64 bytes"),
        ("LIVE_PROCESSOR_CALLBACK_SECRET", "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==", "whsec_ and 24 to 64 bytes"),
        ("AUTHORIZATION_LIFETIME_DAYS", "0", "greater than or equal to 1"),
        ("IDEMPOTENCY_KEY_HOURS", "0.5", "valid integer"),
        ("LOG_LEVEL", "loud", "'debug', 'info'"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    """The message names the variable and what is wrong; a URL's password is never in it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message) as caught:
        read_environment()
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mends one is not sent back for the next."""
    monkeypatch.setenv("HTTP_PORT", "x")
    monkeypatch.setenv("MAX_WORKERS", "y")
    with pytest.raises(SettingsError, match=r"HTTP_PORT.*; MAX_WORKERS"):
        read_environment()


def test_replicas_without_their_primary_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the embedded server are asked for by their number."""
    monkeypatch.setenv("DATABASE_REPLICA_URLS", "postgresql://a/x")
    with pytest.raises(SettingsError, match="DATABASE_REPLICA_URLS needs DATABASE_URL"):
        read_environment()


@pytest.mark.parametrize(("most", "processes"), [("0", 3), ("3", 3), ("9", 9)])
def test_the_most_replicas_are_as_many_as_there_are_or_more(
    monkeypatch: pytest.MonkeyPatch, most: str, processes: int
) -> None:
    """Without a bound of their own there are always as many."""
    monkeypatch.setenv("HTTP_REPLICAS", "3")
    monkeypatch.setenv("HTTP_REPLICAS_MAX", most)
    assert read_environment().most_replicas == processes


def test_fewer_replicas_at_most_than_at_least_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default of the one may be above what the other was set to."""
    monkeypatch.setenv("HTTP_REPLICAS_MAX", "1")
    with pytest.raises(SettingsError, match="HTTP_REPLICAS_MAX is less than HTTP_REPLICAS"):
        read_environment()


def test_a_synchronous_commit_needs_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has to confirm it."""
    monkeypatch.setenv("DATABASE_SYNCHRONOUS", "true")
    with pytest.raises(SettingsError, match="DATABASE_SYNCHRONOUS needs DATABASE_REPLICAS"):
        read_environment()
    monkeypatch.setenv("DATABASE_REPLICAS", "1")
    assert read_environment().database_synchronous


@pytest.mark.parametrize("prefix", ["", "LIVE_"])
def test_callbacks_without_their_processor_are_refused(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """The simulator in the gateway's own process calls nobody back."""
    secret = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="
    monkeypatch.setenv(f"{prefix}PROCESSOR_CALLBACK_SECRET", secret)
    with pytest.raises(SettingsError, match=f"{prefix}PROCESSOR_CALLBACK_SECRET needs {prefix}PROCESSOR_URL"):
        read_environment()
    monkeypatch.setenv(f"{prefix}PROCESSOR_URL", "http://127.0.0.1:1")
    assert secret not in repr(read_environment())


def test_the_file_dot_env_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`.env` here counts like the environment, which overrides it; an argument overrides both."""
    (tmp_path / ".env").write_text("HTTP_PORT=8001\nMAX_WORKERS=3\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("HTTP_PORT", "8002")
    settings = read_environment()
    assert (settings.http_port, settings.max_workers) == (8002, 3)
    assert read_environment(http_port=8003, max_workers=None).http_port == 8003


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several URLs stand in one variable."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://p/x")
    monkeypatch.setenv("DATABASE_REPLICA_URLS", "postgresql://a/x, postgresql://b/x,")
    urls = [url.get_secret_value() for url in read_environment().database_replica_urls]
    assert urls == ["postgresql://a/x", "postgresql://b/x"]


def test_what_is_written_is_read_back_and_the_environment_has_no_part_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ray's processes get exactly what the launcher decided, from a file that others cannot read."""
    file = tmp_path / "settings.json"
    written = read_environment().with_values(
        database_url="postgresql://app:secret@db/x", http_port=8123, trusted_proxies=("10.0.0.0/8",)
    )
    written.write(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.setenv("HTTP_PORT", "9000")
    monkeypatch.setenv(SETTINGS_FILE_VARIABLE, str(file))
    assert dict(load_settings()) == dict(written)


def test_secrets_are_not_in_the_text_of_the_settings() -> None:
    """A log line with the settings in it gives nothing away."""
    settings = read_environment().with_values(database_url="postgresql://app:hunter2@db/x", sealing_key="k" * 43)
    assert "hunter2" not in repr(settings)
    assert "kkk" not in repr(settings)


def test_a_missing_or_broken_settings_file_is_named(tmp_path: Path) -> None:
    """A process of the gateway that finds no settings says where it looked."""
    with pytest.raises(SettingsError, match=r"gone\.json"):
        read_settings(tmp_path / "gone.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(SettingsError, match=r"broken\.json"):
        read_settings(broken)


def test_required_settings_that_are_not_set_are_named() -> None:
    """Whoever needs a setting says so once, and gets all missing names."""
    with pytest.raises(SettingsError, match="DATABASE_URL, SEALING_KEY"):
        read_environment().require("database_url", "http_port", "sealing_key")


def test_the_owner_is_the_application_where_no_other_is_given() -> None:
    """One URL is enough for a database whose role may do both."""
    settings = read_environment().with_values(database_url="postgresql://one/x")
    assert settings.owner_url == settings.database_url
