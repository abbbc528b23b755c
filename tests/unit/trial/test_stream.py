"""The payments of a drill, against a server in the same process that fails in the ways that a gateway can."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from cluster.cli.client import tls_context
from cluster.trial.stream import Stream, until
from tests.support.certificates import certify


def _payment(key: str, status: str = "captured") -> web.Response:
    return web.json_response({"id": f"pay_{key}", "status": status}, status=202 if status == "processing" else 201)


@asynccontextmanager
async def _gateway(
    answer: Callable[[str, int], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve payments: ``answer`` gets the idempotency key and how often it was asked with it before."""
    asked: Counter[str] = Counter()

    async def pay(request: web.Request) -> web.StreamResponse:
        key = request.headers["Idempotency-Key"]
        asked[key] += 1
        return await answer(key, asked[key] - 1)

    application = web.Application()
    application.router.add_post("/v1/payments", pay)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _paid(url: str, *, give_up_s: float = 30, payments: int = 3, tls: ssl.SSLContext | None = None) -> Stream:
    """Run a stream until so many payments have been sent."""
    stream = Stream(url, "sk_test_x", "why", 50, tls or tls_context(url))
    running = asyncio.create_task(stream.run(give_up_s))
    assert await until(lambda: sum(each.first for each in stream.books.answers) >= payments, 20, every_s=0.01)
    stream.stop()
    await running
    return stream


async def test_a_payment_is_repeated_with_its_key_until_it_is_final() -> None:
    """Through a refusal, and an outcome that is not known yet."""

    async def answer(key: str, before: int) -> web.StreamResponse:
        if before == 0:
            return web.json_response({}, status=503, headers={"Retry-After": "1"})
        return _payment(key, "processing" if before == 1 else "captured")

    async with _gateway(answer) as url:
        books = (await _paid(url)).books
    assert len(books.acknowledged) >= 3
    assert all(payment["id"] == f"pay_{key}" for key, payment in books.acknowledged.items())
    assert (books.given_up, books.contradicted) == ([], [])
    firsts = [each for each in books.answers if each.first]
    assert all(each.is_error and each.has_retry_after for each in firsts)
    assert not any(each.is_error for each in books.answers if not each.first)


async def test_a_failure_is_an_error_and_is_asked_again() -> None:
    """A merchant without a retry would have had no payment."""

    async def answer(key: str, before: int) -> web.StreamResponse:
        return _payment(key) if before else web.Response(status=500)

    async with _gateway(answer) as url:
        books = (await _paid(url)).books
    assert {(each.status, each.is_error) for each in books.answers if each.first} == {(500, True)}
    assert len(books.acknowledged) >= 3


async def test_two_payments_for_one_key_are_noticed() -> None:
    """The gateway contradicts itself; a payment that was declined is final too."""
    numbers = iter(range(10_000))

    async def answer(_: str, before: int) -> web.StreamResponse:
        del before
        return web.json_response({"payment": {"id": f"pay_{next(numbers)}", "status": "declined"}}, status=402)

    async with _gateway(answer) as url:
        stream = await _paid(url)
        key, payment = next(iter(stream.books.acknowledged.items()))
        stream._acknowledge(key, {**payment, "id": "pay_other"})
    assert stream.books.contradicted == [key]
    assert not any(each.is_error for each in stream.books.answers)


async def test_nobody_there_is_told_and_given_up() -> None:
    """After as long as it was asked to wait."""
    stream = await _paid("http://127.0.0.1:1", give_up_s=0.0)
    assert {each.status for each in stream.books.answers} == {0}
    assert len(stream.books.given_up) == len(stream.books.answers)
    assert stream.books.acknowledged == {}


async def test_the_gateway_s_certificate_is_verified_but_on_loopback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the authorities that this machine trusts, or those that SSL_CERT_FILE names."""
    certificate, key = certify(tmp_path)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate, key)
    elsewhere = "https://gateway.example:8000"

    async def answer(key: str, _: int) -> web.StreamResponse:
        return _payment(key)

    async with _gateway(answer, serving) as url:
        unknown = await _paid(url, give_up_s=0.0, tls=tls_context(elsewhere))
        assert {each.status for each in unknown.books.answers} == {0}
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert {each.status for each in (await _paid(url, tls=tls_context(elsewhere))).books.answers} == {201}
        monkeypatch.delenv("SSL_CERT_FILE")
        assert {each.status for each in (await _paid(url)).books.answers} == {201}
