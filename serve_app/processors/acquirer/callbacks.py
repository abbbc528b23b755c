"""Tells a gateway by itself that an operation is finished, as processors do: signed, and again until it is taken.

What waits is in memory and lost with the process: a callback is a hint, and a gateway that gets none asks.

Source: Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import structlog
from standardwebhooks import Webhook

_logger = structlog.get_logger(__name__)

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_AT_ONCE = 32
_WAITING_MAX = 10_000


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """Where callbacks go, and the secret (`whsec_...`) that signs them; it is left out of the representation."""

    url: str
    secret: str

    def __repr__(self) -> str:
        return f"CallbackTarget({self.url!r})"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Before try n + 1 of ``tries_max`` a pause from the upper half of [0, min(max_s, first_s * 2^(n-1))]."""

    tries_max: int = 10
    first_s: float = 0.1
    max_s: float = 30.0

    def pause_s(self, tries: int, asked_s: float, drawn: float) -> float:
        """Return the pause after the ``tries``-th try (from 1); ``asked_s`` is what the answer asks for at least.

        ``drawn`` is a number drawn evenly from [0, 1).
        """
        step_s = min(self.max_s, self.first_s * 2.0 ** min(tries - 1, 60))
        return max(step_s * (1 + drawn) / 2, min(asked_s, self.max_s))


def callback_body(attempt_id: str) -> str:
    """Return the message that an attempt is finished."""
    now = datetime.now(UTC).isoformat()
    return json.dumps({"type": "operation.finished", "timestamp": now, "data": {"attempt_id": attempt_id}})


def signed_headers(webhook: Webhook, message_id: str, body: str, at: datetime) -> dict[str, str]:
    """Return the headers of a message that is sent at that moment, in UTC."""
    return {
        "Content-Type": "application/json",
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": webhook.sign(message_id, at, body),
    }


class Callbacks:
    """Sends callbacks, a few at once; beyond ``waiting_max`` that wait, new ones are not sent at all."""

    def __init__(
        self,
        target: CallbackTarget,
        backoff: Backoff | None = None,
        *,
        waiting_max: int = _WAITING_MAX,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = target.url
        self._webhook = Webhook(target.secret)
        self._backoff = backoff or Backoff()
        self._waiting: asyncio.Queue[str] = asyncio.Queue(waiting_max)
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._senders: list[asyncio.Task[None]] = []

    def tell(self, attempt_id: str) -> None:
        """Have it told that the attempt is finished; returns at once."""
        try:
            self._waiting.put_nowait(attempt_id)
        except asyncio.QueueFull:
            _logger.warning("a callback is not sent: too many wait", attempt=attempt_id)

    async def start(self) -> None:
        """Begin to send."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        loop = asyncio.get_running_loop()
        self._senders = [loop.create_task(self._send_for_ever(self._session)) for _ in range(_AT_ONCE)]

    async def close(self) -> None:
        """Stop, whatever waits."""
        for sender in self._senders:
            sender.cancel()
        for sender in self._senders:
            with suppress(asyncio.CancelledError):
                await sender
        if self._session is not None:
            await self._session.close()

    async def _send_for_ever(self, session: aiohttp.ClientSession) -> None:
        while True:
            attempt_id = await self._waiting.get()
            if not await self._delivered(session, attempt_id):
                _logger.warning("a callback was given up", attempt=attempt_id, tries=self._backoff.tries_max)

    async def _delivered(self, session: aiohttp.ClientSession, attempt_id: str) -> bool:
        message_id, body = f"msg_{uuid4().hex}", callback_body(attempt_id)
        for tries in range(1, self._backoff.tries_max + 1):
            asked_s = await self._send(session, message_id, body)
            if asked_s is None:
                return True
            if tries < self._backoff.tries_max:
                await self._sleep(self._backoff.pause_s(tries, asked_s, random.random()))
        return False

    async def _send(self, session: aiohttp.ClientSession, message_id: str, body: str) -> float | None:
        """Return None once it is taken, else the pause that the answer asks for, in seconds."""
        headers = signed_headers(self._webhook, message_id, body, datetime.now(UTC))
        try:
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                if 200 <= response.status < 300:
                    return None
                asked = response.headers.get("Retry-After", "")
                return float(asked) if asked.isascii() and asked.isdigit() else 0.0
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0.0
