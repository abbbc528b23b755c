"""What a process of the gateway logs, and from which level on."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from cluster import process_logs
from cluster.settings import Settings
from serve_app.logs import PACKAGES, configure_logging, is_written


@pytest.fixture
def log() -> Iterator[Log]:
    """A descriptor that is written to, with every logger as it was afterwards."""
    kept = {name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in PACKAGES}
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield Log(reading, writing)
    structlog.reset_defaults()
    for name, (level, handlers) in kept.items():
        logger = logging.getLogger(name)
        for handler in set(logger.handlers) - set(handlers):
            logger.removeHandler(handler)
            handler.stream.close()  # type: ignore[attr-defined]
        logger.setLevel(level)
    os.close(reading)
    os.close(writing)


class Log:
    """What was written to a descriptor."""

    def __init__(self, reading: int, descriptor: int) -> None:
        self._reading = reading
        self.descriptor = descriptor

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines since the call before."""
        try:
            return [json.loads(line) for line in os.read(self._reading, 1 << 20).splitlines()]
        except BlockingIOError:
            return []


def _say_everything() -> None:
    for logger in (structlog.get_logger("serve_app.x"), logging.getLogger("actors.x"), logging.getLogger("cluster.x")):
        for level in ("debug", "info", "warning", "error"):
            getattr(logger, level)(f"at {level}")


@pytest.mark.parametrize(("level", "levels"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_less_than_the_level_is_not_written(log: Log, level: Any, levels: int) -> None:
    """By none of the loggers that our packages use."""
    configure_logging(level, log.descriptor)
    _say_everything()
    told = ["error", "warning", "info", "debug"][:levels]
    assert sorted(line["level"] for line in log.lines()) == sorted(told * 3)
    assert [is_written(each) for each in ("error", "warning", "info", "debug")] == [n < levels for n in range(4)]


def test_every_line_is_json_with_its_time_and_what_is_known_of_a_fault(log: Log) -> None:
    """One line, whatever is in it."""
    configure_logging("info", log.descriptor)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("actors.x").exception("%s does not answer", "a shard")
    structlog.get_logger().info("so", much=1)
    fault, so = log.lines()
    assert (fault["event"], fault["level"], fault["logger"]) == ("a shard does not answer", "error", "actors.x")
    assert fault["exception"].endswith("ValueError: two\nlines")
    assert (so["event"], so["much"]) == ("so", 1)
    assert fault["at"] < so["at"]


def test_to_configure_again_changes_the_level_alone(log: Log) -> None:
    """A line is written once, however many parts of a process set its log up."""
    for level in ("info", "debug", "warning"):
        configure_logging(level, log.descriptor)
    _say_everything()
    assert len(log.lines()) == 3 * 2


def test_libraries_are_not_heard_below_warnings(log: Log) -> None:
    """At debug some tell the headers of requests."""
    configure_logging("debug", log.descriptor)
    assert not logging.getLogger("httpcore").isEnabledFor(logging.INFO)


def test_what_an_actor_makes_in_its_process_comes_after_its_log(
    log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At the level of the gateway's settings, in the file that the launcher wrote."""
    file = tmp_path / "settings.json"
    Settings(log_level="error").write(file)
    monkeypatch.setenv("EASYPAY_SETTINGS_FILE", str(file))
    configure_logging("debug", log.descriptor)

    def make(name: str) -> str:
        _say_everything()
        return name

    assert process_logs.logged(make, "made") == "made"
    assert [line["level"] for line in log.lines()] == ["error"] * 3
