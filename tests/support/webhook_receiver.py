"""A merchant's receiver of webhooks: a real HTTP server that verifies, records, and fails as it is told."""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.ports import free_port

_START_WITHIN_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What the receiver answers, and how long it takes over it."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0


@dataclass(frozen=True)
class Received:
    """One request that carried a valid signature, and what it was answered."""

    webhook_id: str
    headers: Mapping[str, str]
    event: Mapping[str, Any]
    status: int

    @property
    def object_id(self) -> str:
        """The object that the event is about."""
        found: str = self.event["data"]["id"]
        return found


Decide = Callable[[Mapping[str, Any]], Answer]
"""Says what to answer to an event."""


def succeed(_event: Mapping[str, Any]) -> Answer:
    """Take everything."""
    return Answer()


def failing(share: float, seed: int) -> Decide:
    """Fail so many of all requests, at random."""
    drawn = random.Random(seed)
    return lambda _event: Answer(500, body=b"no") if drawn.random() < share else Answer()


class WebhookReceiver:
    """Serves `url` in the loop in which it was started. What is not signed with one of `secrets` is counted as forged.

    What it has recorded may be read from any thread.
    """

    def __init__(self, decide: Decide = succeed, certificate: ssl.SSLContext | None = None) -> None:
        self.decide = decide
        self.secrets: list[str] = []
        self.received: list[Received] = []
        self.forged = 0
        self.port = free_port()
        self._certificate = certificate
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'http' if self._certificate is None else 'https'}://127.0.0.1:{self.port}/hooks"

    def taken(self) -> dict[str, Received]:
        """Return what was answered with success, by the id of the event."""
        return {each.webhook_id: each for each in list(self.received) if 200 <= each.status < 300}

    def current(self) -> dict[str, Mapping[str, Any]]:
        """Return each object's newest event: one that comes late is known by its sequence and dropped."""
        newest: dict[str, Mapping[str, Any]] = {}
        for each in self.taken().values():
            known = newest.get(each.object_id)
            if known is None or known["sequence"] < each.event["sequence"]:
                newest[each.object_id] = each.event
        return newest

    async def start(self) -> None:
        """Begin to listen."""
        app = web.Application()
        app.router.add_post("/hooks", self._take)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._certificate).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = self._verified(body, dict(request.headers))
        if event is None:
            self.forged += 1
            return web.Response(status=401)
        answer = self.decide(event)
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        self.received.append(Received(event["id"], dict(request.headers), event, answer.status))
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    def _verified(self, body: bytes, headers: dict[str, str]) -> Any:
        for secret in self.secrets:
            try:
                event = Webhook(secret).verify(body, headers)
            except WebhookVerificationError:
                continue
            return event if event["id"] == headers.get("webhook-id") else None
        return None


@asynccontextmanager
async def receiving(
    decide: Decide = succeed, certificate: ssl.SSLContext | None = None
) -> AsyncIterator[WebhookReceiver]:
    """Run a receiver in this loop for as long as the block lasts."""
    receiver = WebhookReceiver(decide, certificate)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


@contextmanager
def receiver_beside(decide: Decide = succeed) -> Iterator[WebhookReceiver]:
    """Run a receiver in a thread of its own for as long as the block lasts: for tests that have no loop."""
    receiver, loop, ready = WebhookReceiver(decide), asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        await receiver.start()
        ready.set()

    def run() -> None:
        loop.create_task(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert ready.wait(_START_WITHIN_S), "the receiver did not start"
        yield receiver
    finally:
        asyncio.run_coroutine_threadsafe(receiver.stop(), loop).result(_START_WITHIN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_START_WITHIN_S)
        loop.close()
