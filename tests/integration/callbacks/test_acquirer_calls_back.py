"""The acquirer tells what it has finished: signed, again until it is heard, and no more often than it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from aiohttp import web
from standardwebhooks import Webhook

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.acquirer.callbacks import Backoff, Callbacks, CallbackTarget
from serve_app.processors.http import HttpProcessor
from serve_app.processors.protocol import Failed, ProcessorRequest
from tests.integration.callbacks.gateway import SECRET
from tests.support.acquirer import AcquirerProcess


class Receiver:
    """Answers callbacks with these statuses, then with 204, and keeps what came: ids and attempts."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        """Verify and keep a callback."""
        told = Webhook(SECRET).verify(await request.read(), dict(request.headers))
        assert told["type"] == "operation.finished"
        self.heard.put_nowait((request.headers["Webhook-Id"], told["data"]["attempt_id"]))
        status = self._statuses.pop(0) if self._statuses else 204
        return web.Response(status=status, headers={"Retry-After": "1"} if status == 429 else {})

    async def next(self) -> tuple[str, str]:
        """Return the next that comes."""
        async with asyncio.timeout(15):
            return await self.heard.get()


@asynccontextmanager
async def _listening(receiver: Receiver) -> AsyncIterator[Receiver]:
    app = web.Application()
    app.router.add_post("/callbacks", receiver.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def _request(token: str = "tok_visa", attempt_id: str = "") -> ProcessorRequest:
    attempt_id = attempt_id or f"att_{uuid4().hex}"
    return ProcessorRequest(attempt_id, AttemptKind.AUTHORIZE, 1000, "USD", token, True, None)


async def test_each_operation_is_told_once_it_is_heard_and_only_then(tmp_path: Path) -> None:
    """A refusal is repeated under the same id; a repeat of the operation, or one that was not done, is no news."""
    async with _listening(Receiver(503, 429)) as receiver:
        acquirer = await asyncio.to_thread(
            AcquirerProcess, tmp_path / "ledger.db", callback_url=receiver.url, callback_secret=SECRET
        )
        processor = HttpProcessor(acquirer.url)
        try:
            first, declined = _request(), _request("tok_declined")
            await processor.perform(first, timeout_s=10)
            heard = [await receiver.next() for _ in range(3)]
            assert len(set(heard)) == 1
            assert heard[0][1] == first.attempt_id
            await processor.perform(first, timeout_s=10)
            assert isinstance(await processor.perform(_request("tok_processor_error"), timeout_s=10), Failed)
            await processor.perform(declined, timeout_s=10)
            message_id, attempt_id = await receiver.next()
            assert attempt_id == declined.attempt_id
            assert message_id != heard[0][0]
            assert receiver.heard.empty()
        finally:
            await processor.close()
            await asyncio.to_thread(acquirer.kill)


async def test_it_gives_up_after_its_last_try() -> None:
    """And goes on with the next."""
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    async with _listening(Receiver(500, 410, 302)) as receiver:
        callbacks = Callbacks(CallbackTarget(receiver.url, SECRET), Backoff(tries_max=3), sleep=sleep)
        await callbacks.start()
        callbacks.tell("att_a")
        tries = [await receiver.next() for _ in range(3)]
        callbacks.tell("att_b")
        assert (await receiver.next())[1] == "att_b"
        await callbacks.close()
    assert len(set(tries)) == 1
    assert len(pauses) == 2


async def test_what_waits_is_bounded() -> None:
    """Beyond the bound a callback is not sent, and nobody is held up."""
    async with _listening(Receiver()) as receiver:
        callbacks = Callbacks(CallbackTarget(receiver.url, SECRET), waiting_max=2)
        for name in ("att_a", "att_b", "att_c"):
            callbacks.tell(name)
        await callbacks.start()
        assert {(await receiver.next())[1] for _ in range(2)} == {"att_a", "att_b"}
        await callbacks.close()
        assert receiver.heard.empty()
