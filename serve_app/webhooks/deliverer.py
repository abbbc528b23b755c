"""One run of the task that delivers an event to an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from actors.runtime.clock import Clock
from serve_app.domain.errors import WebhooksNotConfigured
from serve_app.domain.ids import new_id
from serve_app.webhooks.deliveries import DeliveryRepository
from serve_app.webhooks.message import Event
from serve_app.webhooks.reply import Reply
from serve_app.webhooks.repository import EndpointRepository
from serve_app.webhooks.rows import DeliveryKey, DueDelivery, Target, TryRow
from serve_app.webhooks.schedule import FAILING_FOR_S
from serve_app.webhooks.secrets import SecretBox
from serve_app.webhooks.verdict import DeliveryStatus, DisabledReason, FailureReason, Verdict, judge
from serve_app.webhooks.views import encode_endpoint

_EARLY_S = 2.0
"""How much before its time a try may begin: as much as the clocks of two machines may differ."""
_DISABLE_TRIES_MAX = 5


class Sends(Protocol):
    """Sends an event: `WebhookSender`."""

    async def send(self, url: str, event: Event, secrets: list[str], sent_at: datetime) -> Reply:
        """Post the event; errors of the way there are part of the reply."""
        ...


@dataclass(frozen=True, slots=True)
class Again:
    """The delivery is to be tried again after so many seconds."""

    reason: str
    after_s: float


class Deliverer:
    """Carries deliveries out. The same one twice at once, or again after a crash, sends the event twice at most: it has
    one id by which receivers know it, and its delivery moves on once."""

    def __init__(
        self,
        deliveries: DeliveryRepository,
        endpoints: EndpointRepository,
        sender: Sends,
        secrets: SecretBox | None,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._sender = sender
        self._secrets = secrets
        self._clock = clock
        self._draw = draw

    async def deliver(self, key: DeliveryKey, round: int) -> Again | None:
        """Try a delivery of that round, if it still is to be tried, and say whether it is to be tried again.

        Raises:
            Unavailable, Overloaded, DeadlineExceeded, OutcomeUnknown: the database is away; run the task again.
            SealBroken, WebhooksNotConfigured: the secret cannot be opened with this gateway's key.
        """
        due = await self._deliveries.load(key)
        if due is None or due.status is not DeliveryStatus.PENDING or due.round != round:
            return None
        now = self._clock.now()
        if due.target is None or not due.target.enabled:
            deleted = due.target is None
            reason = FailureReason.ENDPOINT_DELETED if deleted else FailureReason.ENDPOINT_DISABLED
            await self._deliveries.drop(key, round, reason, now)
            return None
        assert due.next_try_at is not None, "what is pending has a time"
        early_s = (due.next_try_at - now).total_seconds()
        if early_s > _EARLY_S:
            return Again("it is not time yet", early_s)
        return await self._try(key, due, due.target, now)

    async def _try(self, key: DeliveryKey, due: DueDelivery, target: Target, started: datetime) -> Again | None:
        secrets = self._opened(key, due, target, started)
        reply = await self._sender.send(target.url, due.event, secrets, started)
        ended = self._clock.now()
        judged = partial(
            judge, reply, tries=due.tries + 1, now=ended, failing_since=target.failing_since, drawn=self._draw()
        )
        verdict = judged()
        # Before the try is recorded: whoever is killed in between finds the endpoint disabled when it runs again.
        if verdict.disable is not None and not await self._disabled(key, due, target, verdict.disable, ended):
            verdict = judged(may_disable=False)
        await self._deliveries.record(_row(key, due, target, reply, verdict, started, ended))
        if verdict.pause_s is None:
            return None
        return Again(verdict.error or "failed", verdict.pause_s)

    def _opened(self, key: DeliveryKey, due: DueDelivery, target: Target, now: datetime) -> list[str]:
        """Return the secrets to sign with: the endpoint's, and for a while the one that it had before."""
        if self._secrets is None:
            raise WebhooksNotConfigured
        sealed = [target.secret]
        if target.previous_secret is not None and target.previous_secret_until is not None:
            sealed += [target.previous_secret] if target.previous_secret_until > now else []
        return [self._secrets.open(key.merchant_id, due.endpoint_id, each) for each in sealed]

    async def _disabled(
        self, key: DeliveryKey, due: DueDelivery, target: Target, reason: DisabledReason, now: datetime
    ) -> bool:
        """Disable the endpoint and return True, or where it is already; False where it is not what was tried any more:
        it has another URL, or has taken a delivery meanwhile."""
        failing_before = now - timedelta(seconds=FAILING_FOR_S) if reason is DisabledReason.FAILING else None
        for _ in range(_DISABLE_TRIES_MAX):
            endpoint = await self._endpoints.find(key.merchant_id, due.livemode, due.endpoint_id)
            if endpoint is None or not endpoint.enabled:
                return True
            if endpoint.url != target.url:
                return False
            if failing_before is not None and (endpoint.failing_since or now) > failing_before:
                return False
            told = encode_endpoint(endpoint, disabled=reason, at=now)
            if await self._endpoints.disable(endpoint, reason, failing_before, now, new_id(), told.decode()):
                return True
        return False


def _row(
    key: DeliveryKey,
    due: DueDelivery,
    target: Target,
    reply: Reply,
    verdict: Verdict,
    started: datetime,
    ended: datetime,
) -> TryRow:
    pending = verdict.pause_s is not None
    return TryRow(
        merchant_id=key.merchant_id,
        delivery_id=key.delivery_id,
        endpoint_id=due.endpoint_id,
        round=due.round,
        tries=due.tries + 1,
        try_id=new_id(),
        url=target.url,
        response_code=reply.code,
        response_body=reply.body,
        error=verdict.error,
        duration_ms=reply.duration_ms,
        started_at=started,
        status=verdict.status.value,
        reason=verdict.reason.value if verdict.reason else None,
        next_try_at=ended + timedelta(seconds=verdict.pause_s) if verdict.pause_s is not None else None,
        finished_at=None if pending else ended,
    )
