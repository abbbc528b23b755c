"""Tells the caches of a change to a payment: before its first commit, and after its last."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from actors.cache.client import CacheClient, Transition
from actors.cache.messages import Publication
from serve_app.attempts.rows import PaymentKey
from serve_app.caching.models import (
    PAYMENT,
    REFUND,
    Model,
    Strategy,
    merchant_tag,
    payment_name,
    payment_refunds_tag,
    refund_name,
)

_REFUND_CONCLUDED = 2
"""A refund changes once: from processing, its first version, to its end."""


class Change(Protocol):
    """A change to one payment, and to the refund that it makes. End it, whatever comes of it; the first end counts."""

    async def begun(self) -> None:
        """Wait until no cache serves what is changing; commit nothing before. Say it again before a late commit.

        Raises:
            Unavailable: the caches did not confirm it in time; nothing may be committed.
        """
        ...

    async def end(self, version: int, payment: bytes, refund: bytes | None = None) -> None:
        """Leave the JSON of what was committed to the caches; when it returns the change may be acknowledged."""
        ...

    async def end_unknown(self) -> None:
        """Whatever was committed, the caches keep nothing of it; when it returns the change may be acknowledged."""
        ...


class Changes:
    """Begins changes. Without a cache there is nothing to tell."""

    def __init__(self, cache: CacheClient | None) -> None:
        self._cache = cache

    def of(self, key: PaymentKey, refund_id: UUID | None = None) -> Change:
        """Begin a change to a payment, to the refund that it makes, and to the lists that they are in."""
        if self._cache is None:
            return _UNCACHED
        names = [payment_name(key)]
        tags = [merchant_tag(key.merchant_id, key.livemode)]
        if refund_id is not None:
            names.append(refund_name(key.merchant_id, key.livemode, refund_id))
            tags.append(payment_refunds_tag(key))
        return _CachedChange(self._cache.transition(names, tags), names)


class _CachedChange:
    def __init__(self, transition: Transition, names: list[str]) -> None:
        self._transition = transition
        self._names = names
        self._ended = False

    async def begun(self) -> None:
        await self._transition.begun()

    async def end(self, version: int, payment: bytes, refund: bytes | None = None) -> None:
        states = [_state(PAYMENT, self._names[0], version, payment)]
        if len(self._names) > 1:
            states.append(_state(REFUND, self._names[1], _REFUND_CONCLUDED, refund))
        await self._end(tuple(states), certain=True)

    async def end_unknown(self) -> None:
        await self._end((), certain=False)

    async def _end(self, states: tuple[Publication, ...], *, certain: bool) -> None:
        if not self._ended:
            self._ended = True
            await self._transition.end(states, certain=certain)


def _state(model: Model, name: str, version: int, json: bytes | None) -> Publication:
    if json is None or model.strategy is Strategy.CACHE_ASIDE:
        return Publication(name, 0, None, 0.0)
    return Publication(name, version, json, model.ttl_s)


class _NoChange:
    async def begun(self) -> None:
        """Nothing is cached."""

    async def end(self, version: int, payment: bytes, refund: bytes | None = None) -> None:
        """Nothing is cached."""

    async def end_unknown(self) -> None:
        """Nothing is cached."""


_UNCACHED = _NoChange()
