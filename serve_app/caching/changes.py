"""Tells the caches of a change to a payment: before its first commit, and after its last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

from actors.cache.client import CacheClient
from actors.cache.messages import Publication
from actors.cache.transition import Transition
from serve_app.attempts.rows import PaymentKey
from serve_app.caching.models import PAYMENT, Strategy, merchant_tag, payment_name, refunds_tag


class Change(Protocol):
    """A change to one payment. End it, whatever comes of it; only the first end counts."""

    async def begun(self) -> None:
        """Wait until no cache serves what is changing; commit nothing before. Say it again before a late commit.

        Raises:
            Unavailable: the caches did not confirm it in time; nothing may be committed.
        """
        ...

    async def end(self, version: int, payment: bytes) -> None:
        """Leave the payment's JSON to the caches; when it returns the change may be acknowledged."""
        ...

    async def end_unknown(self) -> None:
        """Whatever was committed, the caches keep nothing of it; when it returns the change may be acknowledged."""
        ...


class Changes:
    """Begins changes. Without a cache there is nothing to tell."""

    def __init__(self, cache: CacheClient | None) -> None:
        self._cache = cache

    def of_new(self, key: PaymentKey) -> Change:
        """Begin to make a payment. No cache has it, nor will before it is concluded; only lists change."""
        if self._cache is None:
            return _UNCACHED
        return _CachedChange(self._cache.transition([], [merchant_tag(key.merchant_id, key.livemode)]), None)

    def of(self, key: PaymentKey) -> Change:
        """Begin a change to a payment, and to the lists that it and its refunds are in.

        The refund that it makes is in no cache before it is concluded.
        """
        if self._cache is None:
            return _UNCACHED
        name = payment_name(key)
        tags = [merchant_tag(key.merchant_id, key.livemode), refunds_tag(key)]
        return _CachedChange(self._cache.transition([name], tags), name)

    @asynccontextmanager
    async def of_lists(self, merchant_id: UUID, livemode: bool) -> AsyncIterator[None]:
        """Change what the merchant's lists show, such as its audit trail, and no payment, while the block lasts.

        Raises:
            Unavailable: the caches did not confirm it in time; the block has not begun.
        """
        if self._cache is None:
            yield
            return
        change = _CachedChange(self._cache.transition([], [merchant_tag(merchant_id, livemode)]), None)
        try:
            await change.begun()
            yield
        finally:
            await change.end_unknown()

    def of_many(self, keys: Sequence[PaymentKey]) -> Change:
        """Begin one change to many payments, and to the lists that they are in; their refunds stay as they are.

        It costs one message to each shard. End it as unknown: the caches keep nothing of these payments, and load what
        they are asked for.
        """
        if self._cache is None:
            return _UNCACHED
        tags = sorted({merchant_tag(key.merchant_id, key.livemode) for key in keys})
        return _CachedChange(self._cache.transition([payment_name(key) for key in keys], tags), None)


class _CachedChange:
    def __init__(self, transition: Transition, name: str | None) -> None:
        self._transition = transition
        self._name = name
        self._ended = False

    async def begun(self) -> None:
        await self._transition.begun()

    async def end(self, version: int, payment: bytes) -> None:
        if self._name is None:
            await self._end((), certain=True)
        elif PAYMENT.strategy is Strategy.WRITE_THROUGH:
            await self._end((Publication(self._name, version, payment, PAYMENT.ttl_s),), certain=True)
        else:
            await self.end_unknown()

    async def end_unknown(self) -> None:
        await self._end((), certain=False)

    async def _end(self, states: tuple[Publication, ...], *, certain: bool) -> None:
        if not self._ended:
            self._ended = True
            await self._transition.end(states, certain=certain)


class _NoChange:
    async def begun(self) -> None:
        """Nothing is cached."""

    async def end(self, version: int, payment: bytes) -> None:
        """Nothing is cached."""

    async def end_unknown(self) -> None:
        """Nothing is cached."""


_UNCACHED = _NoChange()
