"""A small stream of test payments, each repeated with its key until the answer is final: what merchants see."""

from __future__ import annotations

import asyncio
import json
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

_FINAL = frozenset({200, 201, 402})
_PAUSE_S = 0.2
_ANSWER_WITHIN_S = 35.0
_PAYMENT = {"amount": 1999, "currency": "USD", "payment_method": "tok_visa"}


class Answer(NamedTuple):
    """An answer, or its lack: status 0. Times are the loop's. ``has_retry_after`` tells whether a refusal says when."""

    sent_at: float
    ended_at: float
    status: int
    has_retry_after: bool
    first: bool

    @property
    def is_error(self) -> bool:
        """Whether a merchant without a retry would have been left without a payment."""
        return self.status not in _FINAL and self.status != 202


@dataclass(slots=True)
class Books:
    """What the gateway has acknowledged, by key, and all its answers."""

    answers: list[Answer] = field(default_factory=list)
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    contradicted: list[str] = field(default_factory=list)
    """Keys of which two answers named different payments."""
    given_up: list[str] = field(default_factory=list)


class Stream:
    """Pays evenly, whatever becomes of the payments before."""

    def __init__(self, url: str, key: str, description: str, rate_per_s: float, tls: ssl.SSLContext) -> None:
        """``tls`` is how the gateway's certificate is verified, where the URL is of HTTPS."""
        self._url = url
        self._key = key
        self._description = description
        self._rate_per_s = rate_per_s
        self._tls = tls
        self._stop = asyncio.Event()
        self.books = Books()

    def stop(self) -> None:
        """Begin no payment any more."""
        self._stop.set()

    async def run(self, give_up_s: float) -> None:
        """Pay until stopped, and return when each payment has its final answer, or was given up after so long."""
        headers = {"Authorization": f"Bearer {self._key}"}
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with (
            aiohttp.ClientSession(self._url, headers=headers, timeout=timeout, connector=connector) as http,
            asyncio.TaskGroup() as paying,
        ):
            while not self._stop.is_set():
                paying.create_task(self._pay(http, give_up_s))
                due += 1 / self._rate_per_s
                await _either(self._stop, max(0.0, due - loop.time()))

    async def _pay(self, http: aiohttp.ClientSession, give_up_s: float) -> None:
        key = uuid.uuid4().hex
        loop = asyncio.get_running_loop()
        give_up = loop.time() + give_up_s
        first = True
        while True:
            payment = await self._try(http, key, first=first)
            if payment is not None and payment["status"] != "processing":
                self._acknowledge(key, payment)
                return
            if loop.time() > give_up:
                self.books.given_up.append(key)
                return
            first = False
            await asyncio.sleep(_PAUSE_S)

    async def _try(self, http: aiohttp.ClientSession, key: str, *, first: bool) -> dict[str, Any] | None:
        """Send the payment once and return it, None where the answer has none."""
        loop = asyncio.get_running_loop()
        sent = loop.time()
        status, retry_after, content = 0, False, b""
        body = {**_PAYMENT, "description": self._description}
        try:
            async with http.post("/v1/payments", json=body, headers={"Idempotency-Key": key}) as answer:
                content = await answer.read()
                status, retry_after = answer.status, "Retry-After" in answer.headers
        except (aiohttp.ClientError, TimeoutError):
            # What a merchant sees of a process that died: no answer. The key is what makes it safe to ask again.
            status = 0
        self.books.answers.append(Answer(sent, loop.time(), status, retry_after, first))
        return _payment(status, content)

    def _acknowledge(self, key: str, payment: dict[str, Any]) -> None:
        known = self.books.acknowledged.setdefault(key, payment)
        if known["id"] != payment["id"]:
            self.books.contradicted.append(key)


def _payment(status: int, content: bytes) -> dict[str, Any] | None:
    if status not in _FINAL and status != 202:
        return None
    found: dict[str, Any] = json.loads(content)
    return found["payment"] if status == 402 else found


async def _either(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def until(holds: Callable[[], bool], within_s: float, every_s: float = 0.2) -> bool:
    """Look, in a thread, until a condition of the outside world holds; tell whether it did in time."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within_s
    while not await asyncio.to_thread(holds):
        if loop.time() > give_up:
            return False
        await asyncio.sleep(every_s)
    return True
