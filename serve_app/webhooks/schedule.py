"""When a delivery that failed is tried again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

STEPS_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The pauses between tries: 75 hours together. Source: the Standard Webhooks specification, 1.0, on retries."""
JITTER = 0.25
"""Each pause is longer by up to so much of it: what failed at once does not come back at once, and no schedule is
shorter than it is promised to be."""
TRIES_MAX = len(STEPS_S) + 1
RETRY_AFTER_MAX_S = 86_400.0
FAILING_FOR_S = 3 * 86_400.0
"""How long an endpoint may fail without one success before it is disabled: less than the whole schedule."""


def pause_s(tries: int, drawn: float, retry_after_s: float | None = None) -> float | None:
    """Return the pause after the ``tries``-th try of a round (from 1), None where it was the last.

    ``drawn`` is a number drawn evenly from [0, 1). What the receiver asks for is honoured up to a day, where it is
    longer than the schedule says.
    """
    if tries >= TRIES_MAX:
        return None
    scheduled_s = STEPS_S[tries - 1] * (1 + JITTER * drawn)
    return max(scheduled_s, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or a date; None where it cannot be read.

    Source: RFC 9110, 10.2.3.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
