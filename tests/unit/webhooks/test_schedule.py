"""Deliveries are tried for three days, with jitter, and later where the receiver asks for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from serve_app.webhooks.schedule import (
    FAILING_FOR_S,
    RETRY_AFTER_MAX_S,
    STEPS_S,
    TRIES_MAX,
    pause_s,
    retry_after_s,
)

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _pauses(drawn: float) -> list[float]:
    return [pause for tries in range(1, TRIES_MAX) if (pause := pause_s(tries, drawn)) is not None]


@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.999])
def test_the_schedule_takes_three_days_at_least(drawn: float) -> None:
    """Whatever is drawn; so an endpoint that fails through all of it has failed for as long as it may."""
    pauses = _pauses(drawn)
    assert len(pauses) == len(STEPS_S) == TRIES_MAX - 1
    assert FAILING_FOR_S <= sum(pauses) <= 4 * 86_400
    assert pauses == sorted(pauses)


def test_jitter_spreads_what_failed_together() -> None:
    """Two deliveries that draw apart come back apart."""
    assert all(late > early for early, late in zip(_pauses(0.1), _pauses(0.9), strict=True))


def test_the_last_try_has_no_pause() -> None:
    """Nor has any beyond it."""
    assert pause_s(TRIES_MAX, 0.5) is None
    assert pause_s(TRIES_MAX + 1, 0.5) is None


@pytest.mark.parametrize(
    ("asked_s", "expected_s"), [(60.0, 60.0), (1.0, STEPS_S[0]), (0.0, STEPS_S[0]), (1e9, RETRY_AFTER_MAX_S)]
)
def test_a_receiver_may_ask_for_more_time(asked_s: float, expected_s: float) -> None:
    """Not for less than the schedule, nor for more than a day."""
    assert pause_s(1, 0.0, asked_s) == expected_s


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 12:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2026 12:01:00", 60.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("٣", None),
        ("Thu, 99 Jan 2026 12:01:00 GMT", None),
        ("9" * 5000, 999_999_999_999.0),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, expected: float | None) -> None:
    """What is neither says nothing."""
    assert retry_after_s(header, _NOW) == expected
