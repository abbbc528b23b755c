"""A callback ends an open attempt at once and in the truth, whoever sends it and whenever it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import from_json

from serve_app.domain.attempt import AttemptState
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import new_id
from tests.integration.callbacks.gateway import PATH, Gateway, gateway
from tests.support.gateway_services import new_payment
from tests.support.postgres import TestPostgres

_OTHER_SECRET = "whsec_bm90IHRoZSBhY3F1aXJlcidzIHNlY3JldCBhdCBhbGw="


@pytest.fixture
async def silent(postgres: TestPostgres, tmp_path: Path) -> AsyncIterator[Gateway]:
    """An acquirer that never calls back, for a gateway that waits half a second for its answers."""
    async with gateway(postgres, tmp_path, calls_back=False, timeout_s=0.5) as running:
        yield running


async def _charged_and_unknown(running: Gateway) -> Any:
    """Return an attempt that was charged, of which the gateway has heard nothing."""
    answer = await running.services.payments.create(running.merchant, new_payment(token="tok_timeout_charged"), None)
    assert answer.state is AttemptState.UNKNOWN
    return await running.attempt_in("unknown")


async def _status(running: Gateway, payment_id: UUID) -> str:
    return str(from_json(await running.services.payments.get(running.merchant, payment_id))["status"])


async def test_an_unknown_attempt_ends_well_within_a_second(postgres: TestPostgres, tmp_path: Path) -> None:
    """The acquirer takes two seconds, the gateway waits half a one, and is told when it is done."""
    async with gateway(postgres, tmp_path, calls_back=True, timeout_s=0.5) as running:
        answer = await running.services.payments.create(running.merchant, new_payment(token="tok_slow"), None)
        assert answer.state is AttemptState.UNKNOWN
        attempt = await running.attempt_in("succeeded")
        # The acquirer has it on disk a second before its time is over.
        await running.decided(1)
        assert await _status(running, attempt["payment_id"]) == "captured"
        took_s = (attempt["finished_at"] - attempt["started_at"]).total_seconds()
        assert 2.0 <= took_s < 3.0
        events = await running.rows("SELECT type FROM events WHERE merchant_id = $1")
        assert [event["type"] for event in events] == ["payment.captured"]


async def test_a_callback_that_comes_before_the_answer_concludes(postgres: TestPostgres, tmp_path: Path) -> None:
    """The request that waits gets what was recorded, as do those that wait for its key."""
    async with gateway(postgres, tmp_path, calls_back=False, timeout_s=5.0) as running:
        wanted, claim = new_payment(token="tok_slow"), Claim(new_id().hex, b"f" * 16)
        waiting = [
            asyncio.create_task(running.services.payments.create(running.merchant, wanted, claim)) for _ in range(3)
        ]
        await running.decided(1)
        attempt = await running.attempt_in("started")
        told = await running.call_back(attempt["id"])
        assert (told.status_code, told.json()) == (200, {"outcome": "concluded"})
        assert not any(task.done() for task in waiting)
        assert await _status(running, attempt["payment_id"]) == "captured"
        answers = await asyncio.gather(*waiting)
        assert {answer.state for answer in answers} == {AttemptState.SUCCEEDED}
        assert len({answer.body for answer in answers}) == 1
        assert len(await running.rows("SELECT FROM ledger_postings WHERE merchant_id = $1")) == 1


async def test_whoever_hears_nothing_is_told_what_a_callback_has_told(postgres: TestPostgres, tmp_path: Path) -> None:
    """A request whose processor stays silent is not answered that the outcome is unknown, where it is known."""
    async with gateway(postgres, tmp_path, calls_back=True, timeout_s=2.0) as running:
        wanted = new_payment(token="tok_timeout_charged")
        answer = await running.services.payments.create(running.merchant, wanted, None)
        assert answer.state is AttemptState.SUCCEEDED
        assert from_json(answer.body)["status"] == "captured"


async def test_a_forged_callback_does_nothing(silent: Gateway) -> None:
    """With another secret, another body, or a time that is over."""
    attempt = await _charged_and_unknown(silent)
    attempt_id = attempt["id"]
    answers = [
        await silent.call_back(attempt_id, secret=_OTHER_SECRET),
        await silent.call_back(attempt_id, at=datetime.now(UTC) - timedelta(minutes=6)),
        await silent.client.post(PATH, json={"type": "operation.finished"}),
    ]
    assert [answer.status_code for answer in answers] == [401] * 3
    assert {answer.json()["code"] for answer in answers} == {"signature_invalid"}
    assert answers[0].headers["www-authenticate"]
    assert (await silent.attempts())[-1]["state"] == "unknown"


async def test_a_replayed_message_does_nothing_more(silent: Gateway) -> None:
    """Neither in this process, which remembers it, nor in one that does not: the attempt is concluded."""
    attempt_id = (await _charged_and_unknown(silent))["id"]
    told = [(await silent.call_back(attempt_id, message_id="msg_a")).json()["outcome"] for _ in range(3)]
    assert told == ["concluded", "repeated", "repeated"]
    assert (await silent.call_back(attempt_id, message_id="msg_b")).json() == {"outcome": "nothing_to_do"}
    assert len(await silent.rows("SELECT FROM events WHERE merchant_id = $1")) == 1
    assert len(await silent.rows("SELECT FROM ledger_postings WHERE merchant_id = $1")) == 1


async def test_many_at_once_conclude_once(silent: Gateway) -> None:
    """Each is answered, and the acquirer is asked once for all of them."""
    attempt_id = (await _charged_and_unknown(silent))["id"]
    answers = await asyncio.gather(*(silent.call_back(attempt_id) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["outcome"] for answer in answers} <= {"concluded", "nothing_to_do"}
    assert len(await silent.rows("SELECT FROM events WHERE merchant_id = $1")) == 1


async def test_callbacks_in_the_wrong_order_undo_nothing(silent: Gateway) -> None:
    """That of the authorization comes after the capture's: the payment stays captured."""
    wanted = new_payment(token="tok_timeout_charged", capture=False)
    await silent.services.payments.create(silent.merchant, wanted, None)
    authorization = await silent.attempt_in("unknown")
    assert (await silent.call_back(authorization["id"])).json() == {"outcome": "concluded"}
    payment_id = authorization["payment_id"]
    captured = await silent.services.payments.capture(silent.merchant, payment_id, 700, None)
    assert captured.state is AttemptState.SUCCEEDED
    capture = (await silent.attempts())[-1]
    told = [(await silent.call_back(each["id"])).json()["outcome"] for each in (capture, authorization)]
    assert told == ["nothing_to_do"] * 2
    found = from_json(await silent.services.payments.get(silent.merchant, payment_id))
    assert (found["status"], found["amount_captured"]) == ("captured", 700)
    kinds = [event["type"] for event in await silent.rows("SELECT type FROM events WHERE merchant_id = $1 ORDER BY id")]
    assert kinds == ["payment.authorized", "payment.captured"]


async def test_one_about_what_the_resolver_has_concluded_does_nothing(silent: Gateway) -> None:
    """And both at once conclude once."""
    first = (await _charged_and_unknown(silent))["id"]
    await silent.services.resolver.sweep()
    assert (await silent.call_back(first)).json() == {"outcome": "nothing_to_do"}
    second = (await _charged_and_unknown(silent))["id"]
    _, told = await asyncio.gather(silent.services.resolver.sweep(), silent.call_back(second))
    assert told.status_code == 200
    assert [each["state"] for each in await silent.attempts()] == ["succeeded"] * 2
    assert len(await silent.rows("SELECT FROM ledger_postings WHERE merchant_id = $1")) == 2


async def test_what_the_processor_does_not_confirm_is_not_believed(silent: Gateway) -> None:
    """A signed message about an operation that the acquirer has never seen: nothing is concluded, nor refused."""
    wanted = new_payment(token="tok_timeout_not_charged")
    assert (await silent.services.payments.create(silent.merchant, wanted, None)).state is AttemptState.UNKNOWN
    attempt = await silent.attempt_in("unknown")
    answer = await silent.call_back(attempt["id"])
    assert (answer.status_code, answer.json()["code"]) == (503, "processor_unavailable")
    assert answer.headers["retry-after"]
    assert (await silent.attempts())[-1]["state"] == "unknown"
    assert (await asyncio.to_thread(silent.acquirer.ledger))[0] == []


async def test_what_is_none_of_ours_is_taken_and_left(silent: Gateway) -> None:
    """Another gateway's attempt, and news of other kinds: sending them again would not help."""
    assert (await silent.call_back(new_id())).json() == {"outcome": "nothing_to_do"}


async def test_a_processor_without_a_secret_is_not_there(silent: Gateway) -> None:
    """404."""
    answer = await silent.client.post("/v1/processors/live/callbacks", json={})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
