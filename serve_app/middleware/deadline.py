"""Until when a request may be worked on: X-Request-Timeout-Ms, or half a minute.

What has not begun by then is not begun, and the answer is 504. A payment that has begun is answered with its outcome,
or with 202 where that is not known by then: it is not undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import Scope

from actors.runtime.errors import DeadlineExceeded
from serve_app.problems import invalid

DEFAULT_S = 30.0
_HEADER = "X-Request-Timeout-Ms"
_NAME = _HEADER.lower().encode()
_DIGITS_MAX = 9

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock; `chosen` by the client, or the gateway's own, which no read comes near."""

    at: float
    chosen: bool

    async def bounds(self, work: Awaitable[_T], now: float) -> _T:
        """Return what the work returns.

        Raises:
            DeadlineExceeded: the client's time was over first; the work was cancelled.
        """
        limit = asyncio.timeout(max(0.0, self.at - now))
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded("request") from None
            raise


def deadline_of(scope: Scope, now: float) -> Deadline:
    """Return the request's deadline. One further away than the gateway's own is the gateway's.

    Raises:
        Problem: the header is not a whole number of milliseconds above 0 (422).
    """
    given = [value for name, value in scope["headers"] if name == _NAME]
    if not given:
        return Deadline(now + DEFAULT_S, chosen=False)
    if len(given) > 1:
        raise invalid([(_HEADER, "is given more than once")])
    if not given[0].isdigit() or len(given[0]) > _DIGITS_MAX or int(given[0]) == 0:
        raise invalid([(_HEADER, "must be a whole number of milliseconds above 0")])
    return Deadline(now + min(DEFAULT_S, int(given[0]) / 1000), chosen=True)
