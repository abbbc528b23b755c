"""A gateway of one worker, over real HTTP: who waits, who is refused, and who goes away."""

from __future__ import annotations

import asyncio
import json

from tests.integration.admission.served import Served, served
from tests.support.postgres import TestPostgres


def _request(gateway: Served, key: str) -> bytes:
    body = json.dumps({"amount": 1000, "currency": "USD", "payment_method": "tok_visa"})
    head = [
        "POST /v1/payments HTTP/1.1",
        "Host: pay",
        f"Authorization: Bearer {gateway.api_key}",
        f"Idempotency-Key: {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


async def test_a_request_whose_client_went_away_while_it_waited_is_never_begun(postgres: TestPostgres) -> None:
    """The one before it is paid, the one after it too, and of its own there is no trace."""
    async with served(postgres, workers=1) as gateway:
        slow = asyncio.create_task(gateway.pay("tok_slow"))
        await gateway.in_flight(1)
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(_request(gateway, "gone"))
        await gateway.waiting(1)
        writer.close()
        await gateway.waiting(0)
        assert (await slow).status_code == 201
        assert (await gateway.pay()).status_code == 201
        assert len(await gateway.payments()) == 2


async def test_a_request_that_waited_is_served_with_its_whole_body(postgres: TestPostgres) -> None:
    """Watching its client for a hang-up took nothing away."""
    async with served(postgres, workers=1) as gateway:
        slow = asyncio.create_task(gateway.pay("tok_slow"))
        await gateway.in_flight(1)
        waiting = asyncio.create_task(gateway.pay())
        await gateway.waiting(1)
        assert [(await task).status_code for task in (slow, waiting)] == [201, 201]


async def test_a_request_whose_time_is_over_while_it_waits_is_never_begun(postgres: TestPostgres) -> None:
    """It is answered 504 when its time is over, and nothing was stored."""
    async with served(postgres, workers=1) as gateway:
        slow = asyncio.create_task(gateway.pay("tok_slow"))
        await gateway.in_flight(1)
        late = await gateway.pay(**{"X-Request-Timeout-Ms": "300"})
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        assert (await slow).status_code == 201
        assert len(await gateway.payments()) == 1


async def test_a_payment_that_has_begun_is_answered_in_time(postgres: TestPostgres) -> None:
    """202 with the payment as it is; it ends captured, and its key answers with that."""
    async with served(postgres, workers=4) as gateway:
        keyed = {"Idempotency-Key": "k-1"}
        early = await gateway.pay("tok_slow", **keyed, **{"X-Request-Timeout-Ms": "400"})
        assert (early.status_code, early.json()["status"]) == (202, "processing")
        final = await gateway.pay("tok_slow", **keyed)
        assert (final.status_code, final.json()["id"]) == (201, early.json()["id"])


async def test_beyond_what_may_wait_requests_are_refused_at_once(postgres: TestPostgres) -> None:
    """With Retry-After, on a connection that serves on; a health check is let in all the same."""
    async with served(postgres, workers=1) as gateway:
        slow = asyncio.create_task(gateway.pay("tok_slow"))
        await gateway.in_flight(1)
        crowd = [asyncio.create_task(gateway.pay()) for _ in range(30)]
        answers = [await task for task in asyncio.as_completed(crowd)]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        assert all(
            answer.json()["code"] == "overloaded" and int(answer.headers["Retry-After"]) >= 1 for answer in refused
        )
        assert {answer.status_code for answer in answers} == {201, 503}
        assert (await gateway.client.get("/health/live")).status_code == 200
        assert (await slow).status_code == 201
        assert (await gateway.pay()).status_code == 201
        assert len(await gateway.payments()) == 2 + len(answers) - len(refused)


async def test_reads_are_served_while_the_processor_is_busy(postgres: TestPostgres) -> None:
    """Its places are not theirs."""
    async with served(postgres, workers=1) as gateway:
        slow = asyncio.create_task(gateway.pay("tok_slow"))
        await gateway.in_flight(1)
        async with asyncio.timeout(1):
            assert [payment["status"] for payment in await gateway.payments()] == ["processing"]
        assert (await slow).status_code == 201


async def test_one_key_fifty_times_takes_one_place(postgres: TestPostgres) -> None:
    """The others wait for the first one's answer outside; nobody is refused, and there is one payment."""
    async with served(postgres, workers=2) as gateway:
        first = asyncio.create_task(gateway.pay("tok_slow", **{"Idempotency-Key": "same"}))
        await gateway.in_flight(1)
        others = [asyncio.create_task(gateway.pay("tok_slow", **{"Idempotency-Key": "same"})) for _ in range(49)]
        answers = [await task for task in (first, *others)]
        assert {answer.status_code for answer in answers} == {201}
        assert len(await gateway.payments()) == 1
