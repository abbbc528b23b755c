"""Actors' processes tell what they use, once each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster import process_reports
from cluster.process_reports import report_process
from cluster.settings import Settings


@pytest.fixture(autouse=True)
async def _own_reporters(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(process_reports, "_reporters", [])
    yield
    for reporter in process_reports._reporters:
        await reporter.close()


def _settings(file: Path, *, enabled: bool) -> None:
    Settings(
        database_url="postgresql://app@db/x", api_key_pepper="p" * 32, performance_monitoring_enabled=enabled
    ).write(file)  # fmt: skip


@pytest.mark.parametrize(("enabled", "reporters"), [(True, 1), (False, 0)])
async def test_a_process_reports_once_unless_monitoring_is_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, enabled: bool, reporters: int
) -> None:
    """However often it is asked to: a scheduler that takes its queue again is the same process."""
    monkeypatch.setenv("EASYPAY_SETTINGS_FILE", str(tmp_path / "settings.json"))
    _settings(tmp_path / "settings.json", enabled=enabled)
    for _ in range(3):
        report_process("task-scheduler")
    assert len(process_reports._reporters) == reporters
