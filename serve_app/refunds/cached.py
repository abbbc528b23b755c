"""Refunds as JSON, through the cache."""

from __future__ import annotations

from uuid import UUID

from actors.cache.client import Loaded
from serve_app.attempts.rows import PaymentKey
from serve_app.caching.models import REFUND, REFUND_PAGE, page_name, refund_name, refunds_tag
from serve_app.caching.reader import CachedReads
from serve_app.domain.refund import RefundStatus
from serve_app.refunds.repository import RefundRepository
from serve_app.snapshots import encode_page, encode_refund


class CachedRefunds:
    """Reads refunds and pages of them."""

    def __init__(self, refunds: RefundRepository, reads: CachedReads) -> None:
        self._refunds = refunds
        self._reads = reads

    async def find(self, merchant_id: UUID, livemode: bool, refund_id: UUID) -> bytes | None:
        """Return the refund as it is now, None where this merchant has none of that id in that mode."""

        async def load() -> Loaded:
            refund = await self._refunds.find(merchant_id, livemode, refund_id)
            if refund is None:
                return Loaded(None, 0)
            # Its conclusion tells no cache of it.
            return Loaded(encode_refund(refund), 1, lasting=refund.status is not RefundStatus.PROCESSING)

        return await self._reads.one(REFUND, refund_name(merchant_id, livemode, refund_id), load)

    async def page(self, key: PaymentKey, before: UUID | None, limit: int) -> bytes:
        """Return a page of a payment's refunds as it is answered, newest first."""
        tag = refunds_tag(key)

        async def load() -> bytes:
            found = await self._refunds.page(key, before, limit + 1)
            return encode_page([encode_refund(refund) for refund in found[:limit]], found[limit:])

        return await self._reads.page(REFUND_PAGE, page_name(REFUND_PAGE, tag, limit, before), tag, load)
