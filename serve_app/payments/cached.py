"""Payments as JSON, through the cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

from actors.cache.client import Loaded
from serve_app.attempts.rows import PaymentKey
from serve_app.caching.models import PAYMENT, PAYMENT_PAGE, merchant_tag, page_name, payment_name
from serve_app.caching.reader import CachedReads
from serve_app.domain.payment import PaymentStatus
from serve_app.payments.repository import PageRequest, PaymentRepository
from serve_app.snapshots import encode_page, encode_payment

_WARM_AT_ONCE = 100


class CachedPayments:
    """Reads payments and pages of them."""

    def __init__(self, payments: PaymentRepository, reads: CachedReads) -> None:
        self._payments = payments
        self._reads = reads

    async def find(self, key: PaymentKey) -> bytes | None:
        """Return the payment as it is now, None where this merchant has none of that id in that mode."""
        return await self._reads.one(PAYMENT, payment_name(key), self._loader(key))

    async def page(self, merchant_id: UUID, livemode: bool, request: PageRequest) -> bytes:
        """Return a page as it is answered, newest first."""
        tag = merchant_tag(merchant_id, livemode)
        name = page_name(
            PAYMENT_PAGE, tag, request.limit, request.before, request.status, request.created_gte, request.created_lt
        )

        async def load() -> bytes:
            found = await self._payments.page(merchant_id, livemode, replace(request, limit=request.limit + 1))
            return encode_page([encode_payment(payment) for payment in found[: request.limit]], found[request.limit :])

        return await self._reads.page(PAYMENT_PAGE, name, tag, load)

    async def warm(self, merchant_id: UUID, livemode: bool, count: int) -> int:
        """Have the shards hold the newest `count` payments of a merchant; return how many there are of them."""
        warmed, before = 0, None
        while warmed < count:
            limit = min(_WARM_AT_ONCE, count - warmed)
            page = await self._payments.page(merchant_id, livemode, PageRequest(limit, before))
            if not page:
                break
            # Each is loaded again, once its shard permits it: what the page says may have changed since.
            keys = [PaymentKey(merchant_id, livemode, payment.id) for payment in page]
            await self._reads.warm(PAYMENT, {payment_name(key): self._loader(key) for key in keys})
            warmed += len(page)
            before = page[-1].id
        return warmed

    def _loader(self, key: PaymentKey) -> Callable[[], Awaitable[Loaded]]:
        async def load() -> Loaded:
            payment = await self._payments.find(key)
            if payment is None:
                return Loaded(None, 0)
            # The conclusion of a new payment tells no cache of it.
            lasting = payment.status is not PaymentStatus.PROCESSING
            return Loaded(encode_payment(payment), payment.version, lasting=lasting)

        return load
