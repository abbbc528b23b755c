"""A client that reads payments again and again, and notes which state it saw from when to when."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from tests.support.history import History, Seen

_STATE = re.compile(rb'"amount_refunded":(\d+),.*"version":(\d+),')
_REPLICA_LOST = b"The gateway lost the server"


@dataclass(frozen=True, slots=True)
class Failure:
    """A read that had no state in its answer; `status` 0: no answer."""

    began: float
    ended: float
    status: int
    content: bytes

    @property
    def is_lost(self) -> bool:
        """Whether the process that worked on it died, as far as the answer tells."""
        return self.status == 0 or (self.status == 500 and _REPLICA_LOST in self.content)


def refunded_of(payment_id: str) -> str:
    """Name the refunds of a payment in a history: their sum only grows, as a version does.

    The answer to a refund has no version of the payment. What it says is that so much was given back in all.
    """
    return f"{payment_id} refunded"


class Reader:
    """One of many clients; it has one request under way, so it needs one connection."""

    def __init__(self, http: aiohttp.ClientSession, name: str, seed: int, history: History) -> None:
        self._http = http
        self._name = name
        self._random = random.Random(seed)
        self._history = history
        self.failures: list[Failure] = []

    async def read_all(self, payments: Sequence[str], done: asyncio.Event) -> None:
        """Read payments at random until the event."""
        while not done.is_set():
            await self.read(self._random.choice(payments))

    async def read(self, payment_id: str) -> int | None:
        """Read a payment and return its version, None where the answer did not have it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._http.get(f"/v1/payments/{payment_id}") as answer:
                status, content = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            status, content = 0, repr(error).encode()
        ended = loop.time()
        found = _STATE.search(content) if status == 200 else None
        if found is None:
            self.failures.append(Failure(began, ended, status, content))
            return None
        version = int(found[2])
        self._history.reads[payment_id].append(Seen(began, ended, version, self._name))
        self._history.reads[refunded_of(payment_id)].append(Seen(began, ended, int(found[1]), self._name))
        return version
