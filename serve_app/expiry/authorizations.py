"""Voids payments whose authorization is too old to be captured: issuers let go of the money by themselves.

It is the ordinary void, with its attempt, event and audit entry, on behalf of the gateway itself. A capture that was
begun has the payment to itself, so it wins; a void that was begun does, and a second one is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import structlog

from actors.pool.database import Database
from actors.runtime.clock import Clock
from actors.runtime.errors import ActorError
from actors.runtime.tallies import Counters
from serve_app.attempts.answer import Answer
from serve_app.attempts.intent import SYSTEM_KEY, Owner, Requester
from serve_app.domain.attempt import AttemptState
from serve_app.domain.errors import DomainError, NotFound, TransitionForbidden
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import Prefix, public_id
from serve_app.storage.statements import load_statements

EXPIRED = "authorizations_expired"
REQUEST_ID = "expire_authorizations"
"""Stands in the audit trail where a request's id stands else."""
PAGE_MAX = 100
PAGES_MAX = 100
_AT_ONCE_MAX = 16
_REFUSED_AGAIN_AFTER = timedelta(days=1)
_logger = structlog.get_logger(__name__)


class Voids(Protocol):
    """Voids payments: `PaymentService`."""

    async def void(self, owner: Owner, payment_id: UUID, claim: Claim | None) -> Answer:
        """Release an authorized payment."""
        ...


class Place(NamedTuple):
    """Where a page begins: after this payment, in the order of authorization."""

    authorized_at: datetime
    merchant_id: UUID
    payment_id: UUID


_START = Place(datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0), UUID(int=0))


@dataclass(slots=True)
class Expired:
    """What one run did, in payments: `open` are those whose processor has not answered, which the resolver finishes;
    `refused` the processor would not void; `overtaken` changed meanwhile; `left` are for the next run."""

    voided: int = 0
    open: int = 0
    refused: int = 0
    overtaken: int = 0
    left: int = 0


class AuthorizationExpiry:
    """Finds them page by page and voids them. Two runs at once do no harm: a payment is voided once."""

    def __init__(
        self, database: Database, payments: Voids, clock: Clock, lifetime: timedelta, counters: Counters
    ) -> None:
        self._database = database
        self._payments = payments
        self._clock = clock
        self._lifetime = lifetime
        self._counters = counters
        self._list_sql = load_statements("serve_app.expiry")["list_expired"]

    async def run(
        self,
        told: Callable[[int], None] = lambda _: None,
        *,
        page_max: int = PAGE_MAX,
        pages_max: int = PAGES_MAX,
    ) -> Expired:
        """Void what has expired, `page_max` times `pages_max` payments at most; `told` hears how many were looked at.

        It ends early where nothing of a page could be done: the database or the processor is away.

        Raises:
            ActorError: the database is away; repeat.
        """
        total, place, seen = Expired(), _START, 0
        before = self._clock.now() - self._lifetime
        for _ in range(pages_max):
            rows = await self._database.fetch(
                self._list_sql, before, *place, self._clock.now() - _REFUSED_AGAIN_AFTER, page_max
            )
            left_before = total.left
            for index in range(0, len(rows), _AT_ONCE_MAX):
                await asyncio.gather(*(self._void(row, total) for row in rows[index : index + _AT_ONCE_MAX]))
            seen += len(rows)
            told(seen)
            if len(rows) < page_max or total.left - left_before == len(rows):
                break
            place = Place(rows[-1]["authorized_at"], rows[-1]["merchant_id"], rows[-1]["payment_id"])
        for outcome, count in asdict(total).items():
            self._counters.add(EXPIRED, outcome, by=count)
        return total

    async def _void(self, row: Any, total: Expired) -> None:
        payment_id: UUID = row["payment_id"]
        owner = Owner(row["merchant_id"], row["livemode"], Requester(SYSTEM_KEY, REQUEST_ID))
        try:
            answer = await self._payments.void(owner, payment_id, None)
        except (TransitionForbidden, NotFound):
            total.overtaken += 1
            return
        except (ActorError, DomainError):
            total.left += 1
            return
        if answer.state.is_open:
            total.open += 1
        elif answer.state is AttemptState.SUCCEEDED:
            total.voided += 1
        else:
            total.refused += 1
            _logger.warning(
                "an expired authorization cannot be voided",
                payment=public_id(Prefix.PAYMENT, payment_id),
                code=answer.code,
            )
