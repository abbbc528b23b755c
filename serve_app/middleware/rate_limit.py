"""How many requests a minute a merchant may send, and who is not known: each address, and all together.

`RateLimit` and `RateLimit-Policy` stand on every answer to a request that was counted. A sliding window has no moment
at which it is whole again, so `t` is the window: what is used now is free again after that at the latest; where a
request was refused it is when to come again.

Source: draft-ietf-httpapi-ratelimit-headers-10; RFC 9651 (structured fields).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actors.cache.limits.limiter import Limit, Limiter, Standing, Verdict
from actors.cache.limits.messages import WINDOW_S
from actors.runtime.tallies import Series, Tallies
from serve_app.middleware.authentication import Caller
from serve_app.middleware.client_address import client_address
from serve_app.problems import Code, Problem

SENSITIVE_PART = 5
"""Sensitive operations may take a fifth of a merchant's limit: each may move money out, or change how all is served."""
REQUESTS = "rate_limit_requests"
STATIC_DECISIONS = "rate_limit_static_decisions"
LEASES = "rate_limit_leases"
RETURNED = "rate_limit_permits_returned"

_MERCHANT = b"merchant"
_SENSITIVE = b"sensitive"
_UNKNOWN = b"unauthenticated"
_ADDRESS = b"address"
_LIMITS = (_MERCHANT, _SENSITIVE, _UNKNOWN, _ADDRESS)
_WINDOW_S = int(WINDOW_S)
_SCOPE_KEY = "rate_limit_headers"
_LEFT = b'"%b";r=%%d;t=%d' % (_MERCHANT, _WINDOW_S)

_Headers = tuple[tuple[bytes, bytes], ...]


class RateLimits:
    """The policies: whom each limit is for, and how high it is."""

    def __init__(
        self,
        limiter: Limiter,
        *,
        merchant_per_minute: int,
        unknown_per_minute: int,
        address_per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """0 is no limit. A merchant's own goes before `merchant_per_minute`. `address_per_minute` may be more than 0
        only where the ingress tells whose address is to be believed."""
        self._admitted_at_hand = 0
        self._least_left = self._least_left_before = 1.0
        self._clock = clock
        self._half_ends_at = clock() + WINDOW_S / 2
        self._admitted = dict.fromkeys(_LIMITS, 0)
        self._refused = dict.fromkeys(_LIMITS, 0)
        self._address_per_minute = address_per_minute
        self._limiter = limiter
        self._merchant_per_minute = merchant_per_minute
        self._unknown = Limit("limit:unauthenticated", unknown_per_minute) if unknown_per_minute else None

    async def admit(self, scope: Scope, caller: Caller, *, is_sensitive: bool) -> None:
        """Count a request of a merchant.

        Raises:
            Problem: there were too many (429).
        """
        own = caller.rate_limit_per_minute
        per_minute = self._merchant_per_minute if own is None else own
        if not per_minute:
            return
        key = f"limit:{caller.merchant_id.hex}"
        if not is_sensitive:
            remaining = self._limiter.take_at_hand(key, per_minute)
            if remaining is not None:
                self._admitted_at_hand += 1
                self._least_left = min(self._least_left, remaining / per_minute)
                scope[_SCOPE_KEY] = ((b"ratelimit", _LEFT % remaining), _merchant_policy(per_minute))
                return
        limit = Limit(key, per_minute)
        if not is_sensitive:
            await self._take(scope, (_MERCHANT,), limit)
            return
        stricter = Limit(key + ":sensitive", max(1, per_minute // SENSITIVE_PART))
        await self._take(scope, (_SENSITIVE, _MERCHANT), stricter, limit)

    def utilisation(self) -> float:
        """Return how much the merchant who was nearest to his limit had used of it, within half to one window of the
        limits: what he used is free again after one, and one who sends each second is not out of sight in between."""
        now = self._clock()
        if now >= self._half_ends_at:
            was_just_now = now < self._half_ends_at + WINDOW_S / 2
            self._least_left_before = self._least_left if was_just_now else 1.0
            self._least_left = 1.0
            self._half_ends_at = now + WINDOW_S / 2
        return min(1.0, max(0.0, 1.0 - min(self._least_left, self._least_left_before)))

    async def admit_unknown(self, scope: Scope) -> None:
        """Count a request of which nobody knows yet whose it is: with those of its address, and with all of that kind.

        One that its address has too many of takes nothing of the limit of all. Where more addresses are in use than
        there is room for, those of them that are new are counted with all others alone.

        Raises:
            Problem: there were too many (429).
        """
        address = self._address_limit(scope)
        if address is not None and self._unknown is not None:
            await self._take(scope, (_ADDRESS, _UNKNOWN), address, self._unknown)
        elif address is not None:
            await self._take(scope, (_ADDRESS,), address)
        elif self._unknown is not None:
            await self._take(scope, (_UNKNOWN,), self._unknown)

    def tallies(self) -> Tallies:
        """Return what this process has decided since it started."""
        counts = self._limiter.counts
        tallies: dict[Series, float] = {
            Series(STATIC_DECISIONS, ()): counts.static_decisions,
            Series(LEASES, ("answered",)): counts.answered,
            Series(LEASES, ("unanswered",)): counts.unanswered,
            Series(RETURNED, ()): counts.returned,
        }
        for name in _LIMITS:
            at_hand = self._admitted_at_hand if name is _MERCHANT else 0
            tallies[Series(REQUESTS, (name.decode(), "admitted"))] = self._admitted[name] + at_hand
            tallies[Series(REQUESTS, (name.decode(), "refused"))] = self._refused[name]
        return tallies

    async def close(self) -> None:
        """Give back permits that are left, and ask no shard any more."""
        await self._limiter.close()

    def _address_limit(self, scope: Scope) -> Limit | None:
        if not self._address_per_minute:
            return None
        address = client_address(scope["headers"])
        if address is None:
            return None
        limit = Limit(f"limit:address:{address}", self._address_per_minute, is_minor=True)
        return limit if self._limiter.has_room(limit) else None

    async def _take(self, scope: Scope, names: Sequence[bytes], *limits: Limit) -> None:
        """Count a request by limits of these names; refuse it where one has no permit."""
        verdict = await self._limiter.take(*limits)
        for name, standing in zip(names, verdict.standings, strict=True):
            if name is _MERCHANT:
                self._least_left = min(self._least_left, standing.remaining / standing.per_minute)
        if verdict.admitted:
            for name in names:
                self._admitted[name] += 1
        else:
            self._refused[names[verdict.refused_by]] += 1
        _note(scope, names, verdict)


class RateLimitHeaders:
    """Puts the headers of the limits that a request was counted by on its answer, whatever that is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start" and _SCOPE_KEY in scope:
                message["headers"] = [*message["headers"], *scope[_SCOPE_KEY]]
            await send(message)

        await self._app(scope, receive, send_with_limits)


def _note(scope: Scope, names: Sequence[bytes], verdict: Verdict) -> None:
    """Remember the headers for the answer; refuse the request where the verdict does."""
    wait_s = max(1, math.ceil(verdict.retry_in_s))
    scope[_SCOPE_KEY] = _headers(names, verdict.standings, _WINDOW_S if verdict.admitted else wait_s)
    if not verdict.admitted:
        raise Problem(Code.RATE_LIMITED, "Too many requests within a minute; nothing was done.", retry_after_s=wait_s)


@lru_cache(maxsize=1024)
def _merchant_policy(per_minute: int) -> tuple[bytes, bytes]:
    return b"ratelimit-policy", b'"%b";q=%d;w=%d' % (_MERCHANT, per_minute, _WINDOW_S)


def _headers(names: Sequence[bytes], standings: Sequence[Standing], reset_s: int) -> _Headers:
    named = list(zip(names, standings, strict=True))
    left = b", ".join(b'"%b";r=%d;t=%d' % (name, standing.remaining, reset_s) for name, standing in named)
    policy = b", ".join(b'"%b";q=%d;w=%d' % (name, standing.per_minute, _WINDOW_S) for name, standing in named)
    return ((b"ratelimit", left), (b"ratelimit-policy", policy))
