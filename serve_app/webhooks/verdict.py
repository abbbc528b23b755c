"""What follows from a try: whether the delivery is done, when it is tried again, whether its endpoint is given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from serve_app.webhooks.reply import Reply
from serve_app.webhooks.schedule import FAILING_FOR_S, pause_s, retry_after_s

_GONE = 410


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class FailureReason(StrEnum):
    """Why a delivery is not tried any more."""

    EXHAUSTED = "exhausted"
    GONE = "gone"
    ENDPOINT_DISABLED = "endpoint_disabled"
    ENDPOINT_DELETED = "endpoint_deleted"


class DisabledReason(StrEnum):
    """Why an endpoint is sent nothing."""

    MERCHANT = "merchant"
    FAILING = "failing"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``pause_s`` is given where the delivery is pending; ``disable`` where its endpoint is given up."""

    status: DeliveryStatus
    reason: FailureReason | None = None
    error: str | None = None
    pause_s: float | None = None
    disable: DisabledReason | None = None


def judge(
    reply: Reply,
    *,
    tries: int,
    now: datetime,
    failing_since: datetime | None,
    drawn: float,
    may_disable: bool = True,
) -> Verdict:
    """Judge the ``tries``-th try of a round (from 1), which ended ``now``.

    ``failing_since`` is when the endpoint began to fail, None where its last try went well. Where it may not be
    disabled, since it is not any more what was tried, a failure is just one.
    """
    if reply.code is not None and 200 <= reply.code < 300:
        return Verdict(DeliveryStatus.SUCCEEDED)
    error = reply.error or _error_of(reply.code)
    if reply.code == _GONE and may_disable:
        return Verdict(DeliveryStatus.FAILED, FailureReason.GONE, error, disable=DisabledReason.GONE)
    failing_for = now - failing_since if failing_since is not None else timedelta()
    if failing_for >= timedelta(seconds=FAILING_FOR_S) and may_disable:
        return Verdict(DeliveryStatus.FAILED, FailureReason.ENDPOINT_DISABLED, error, disable=DisabledReason.FAILING)
    pause = pause_s(tries, drawn, retry_after_s(reply.retry_after, now))
    if pause is None:
        return Verdict(DeliveryStatus.FAILED, FailureReason.EXHAUSTED, error)
    return Verdict(DeliveryStatus.PENDING, error=error, pause_s=pause)


def _error_of(code: int | None) -> str:
    assert code is not None, "a reply has an answer or an error"
    return "redirect_not_followed" if 300 <= code < 400 else f"http_{code}"
