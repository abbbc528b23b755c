"""What follows from a try."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from serve_app.webhooks.reply import Reply
from serve_app.webhooks.schedule import FAILING_FOR_S, STEPS_S, TRIES_MAX
from serve_app.webhooks.verdict import DeliveryStatus, DisabledReason, FailureReason, Verdict, judge

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _judge(reply: Reply, tries: int = 1, failing_s: float | None = None) -> Verdict:
    since = None if failing_s is None else _NOW - timedelta(seconds=failing_s)
    return judge(reply, tries=tries, now=_NOW, failing_since=since, drawn=0.0)


@pytest.mark.parametrize("code", [200, 201, 204, 299])
def test_success_ends_it(code: int) -> None:
    """Also for an endpoint that has failed for long."""
    assert _judge(Reply(5, code), failing_s=FAILING_FOR_S) == Verdict(DeliveryStatus.SUCCEEDED)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(5, 500), "http_500"),
        (Reply(5, 404), "http_404"),
        (Reply(5, 302), "redirect_not_followed"),
        (Reply(5, error="timeout"), "timeout"),
    ],
)
def test_a_failure_is_tried_again(reply: Reply, error: str) -> None:
    """After the first pause of the schedule."""
    assert _judge(reply) == Verdict(DeliveryStatus.PENDING, error=error, pause_s=STEPS_S[0])


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_honoured(code: int) -> None:
    """Where it is longer than the schedule."""
    assert _judge(Reply(5, code, retry_after="90")).pause_s == 90


def test_the_last_failure_ends_it() -> None:
    """The delivery has failed; the endpoint may take others."""
    verdict = _judge(Reply(5, 500), tries=TRIES_MAX, failing_s=FAILING_FOR_S - 1)
    assert (verdict.status, verdict.reason, verdict.disable) == (DeliveryStatus.FAILED, FailureReason.EXHAUSTED, None)


def test_an_endpoint_that_is_gone_is_given_up_at_once() -> None:
    """410 is meant for ever."""
    verdict = _judge(Reply(5, 410))
    assert (verdict.status, verdict.reason) == (DeliveryStatus.FAILED, FailureReason.GONE)
    assert (verdict.disable, verdict.pause_s) == (DisabledReason.GONE, None)


def test_an_endpoint_that_has_failed_for_three_days_is_given_up() -> None:
    """Not a second before."""
    assert _judge(Reply(5, 500), failing_s=FAILING_FOR_S - 1).disable is None
    verdict = _judge(Reply(5, 500), failing_s=FAILING_FOR_S)
    assert (verdict.status, verdict.disable) == (DeliveryStatus.FAILED, DisabledReason.FAILING)
