"""How many requests a minute a merchant may send, and all who are not known together.

`RateLimit` and `RateLimit-Policy` stand on every answer to a request that was counted. A sliding window has no moment
at which it is whole again, so `t` is the window: what is used now is free again after that at the latest; where a
request was refused it is when to come again.

Source: draft-ietf-httpapi-ratelimit-headers-10; RFC 9651 (structured fields).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actors.cache.limits.limiter import Limit, Limiter, Standing, Verdict
from actors.cache.limits.messages import WINDOW_S
from serve_app.middleware.authentication import Caller
from serve_app.problems import Code, Problem

SENSITIVE_PART = 5
"""Sensitive operations may take a fifth of a merchant's limit: each may move money out, or change how all is served."""
_MERCHANT = b"merchant"
_SENSITIVE = b"sensitive"
_UNKNOWN = b"unauthenticated"
_WINDOW_S = int(WINDOW_S)
_SCOPE_KEY = "rate_limit_headers"
_LEFT = b'"%b";r=%%d;t=%d' % (_MERCHANT, _WINDOW_S)

_Headers = tuple[tuple[bytes, bytes], ...]


class RateLimits:
    """The policies: whom each limit is for, and how high it is."""

    def __init__(self, limiter: Limiter, *, merchant_per_minute: int, unknown_per_minute: int) -> None:
        """0 is no limit. A merchant's own goes before `merchant_per_minute`."""
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
                scope[_SCOPE_KEY] = ((b"ratelimit", _LEFT % remaining), _merchant_policy(per_minute))
                return
        limit = Limit(key, per_minute)
        if not is_sensitive:
            _note(scope, (_MERCHANT,), await self._limiter.take(limit))
            return
        stricter = Limit(key + ":sensitive", max(1, per_minute // SENSITIVE_PART))
        _note(scope, (_SENSITIVE, _MERCHANT), await self._limiter.take(stricter, limit))

    async def admit_unknown(self, scope: Scope) -> None:
        """Count a request of which nobody knows yet whose it is, with all others of that kind.

        Raises:
            Problem: there were too many (429).
        """
        if self._unknown is not None:
            _note(scope, (_UNKNOWN,), await self._limiter.take(self._unknown))

    async def close(self) -> None:
        """Ask no shard any more."""
        await self._limiter.close()


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
