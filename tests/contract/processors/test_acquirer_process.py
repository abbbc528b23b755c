"""The acquirer as a process: its ledger over HTTP, its faults, its death and its return."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.http import HttpProcessor
from serve_app.processors.protocol import (
    Approved,
    Failed,
    Lookup,
    NotFound,
    Outcome,
    Pending,
    ProcessorRequest,
    Refused,
    Unknown,
)
from serve_app.processors.wire import encode_answer

MakeRequest = Callable[..., ProcessorRequest]
# Nothing here waits so long, but a busy machine may stall for seconds.
TIMEOUT_S = 30.0


async def test_ledger_tells_all_operations(start_acquirer: Any, make_request: MakeRequest) -> None:
    """The ledger lists every operation in order, over pages, with totals that agree with them."""
    acquirer = start_acquirer()
    processor = HttpProcessor(acquirer.url, connect_timeout_s=TIMEOUT_S)
    authorized = await processor.perform(make_request(amount_minor=900), timeout_s=TIMEOUT_S)
    assert isinstance(authorized, Approved)
    reference = authorized.reference
    for kind, amount_minor in [(AttemptKind.CAPTURE, 700), (AttemptKind.REFUND, 200), (AttemptKind.VOID, 1)]:
        request = make_request(kind, amount_minor=amount_minor, reference=reference)
        await processor.perform(request, timeout_s=TIMEOUT_S)
    await processor.refuse(make_request(), timeout_s=TIMEOUT_S)
    await processor.close()
    entries, totals = await asyncio.to_thread(acquirer.ledger, limit=2)
    assert [(entry["result"]["status"], entry["moved_minor"]) for entry in entries] == [
        ("approved", 900),
        ("approved", 700),
        ("approved", 200),
        ("failed", 0),
        ("refused", 0),
    ]
    assert entries[1]["request"]["kind"] == "capture"
    assert entries[4]["request"] is None
    assert totals == {
        "USD": {
            "charges": 1,
            "authorized_minor": 900,
            "captured_minor": 700,
            "released_minor": 200,
            "refunded_minor": 200,
        }
    }


def test_health(acquirer: Any) -> None:
    """A healthy acquirer says so."""
    with urlopen(f"{acquirer.url}/health", timeout=5) as response:
        assert json.load(response) == {"status": "ok"}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"attempt_id": "a b"}', b"\xff"])
def test_malformed_operation(acquirer: Any, body: bytes) -> None:
    """An operation that cannot be read is rejected for good, as 422."""
    with pytest.raises(HTTPError) as raised:
        urlopen(Request(f"{acquirer.url}/v1/operations", data=body, method="POST"), timeout=5)
    with raised.value as response:
        assert response.code == 422
        assert json.load(response) == encode_answer(Failed("invalid_request", retryable=False))


def test_malformed_page(acquirer: Any) -> None:
    """A page of the ledger is asked for by numbers."""
    with pytest.raises(HTTPError) as raised:
        urlopen(f"{acquirer.url}/v1/ledger?after=x", timeout=5)
    raised.value.close()
    assert raised.value.code == 400


async def test_stops_while_a_caller_waits(start_acquirer: Any, make_request: MakeRequest) -> None:
    """A request to stop ends the process although a caller is kept waiting, who then learns nothing."""
    acquirer = start_acquirer()
    processor, request = HttpProcessor(acquirer.url, tries_max=1), make_request(token="tok_timeout_charged")
    waiting = asyncio.create_task(processor.perform(request, timeout_s=30))
    while not isinstance(await processor.lookup(request, timeout_s=TIMEOUT_S), Approved):
        pass
    assert await asyncio.to_thread(acquirer.stop) in (0, -signal.SIGTERM)
    assert isinstance(await waiting, Unknown)
    await processor.close()


async def settle(processor: HttpProcessor, request: ProcessorRequest) -> Lookup | Refused:
    """Resolve an attempt as the gateway does: look it up, refuse it where it was never seen."""
    found: Lookup = Pending()
    while isinstance(found, Pending):
        found = await processor.lookup(request, timeout_s=TIMEOUT_S)
    if isinstance(found, NotFound):
        return await processor.refuse(request, timeout_s=TIMEOUT_S)
    return found


async def test_seeded_faults_end_in_the_truth(start_acquirer: Any, make_request: MakeRequest) -> None:
    """With a third of all operations going wrong, every attempt settles to what the ledger holds."""
    acquirer = start_acquirer(failure_rate=0.33, seed=20, latency_ms=2, jitter_ms=2)
    processor = HttpProcessor(acquirer.url, connect_timeout_s=TIMEOUT_S)
    requests = [make_request(capture=True) for _ in range(150)]

    async def run(request: ProcessorRequest) -> tuple[Outcome, Lookup | Refused]:
        return await processor.perform(request, timeout_s=1.0), await settle(processor, request)

    results = await asyncio.gather(*(run(request) for request in requests))
    await processor.close()
    entries, totals = await asyncio.to_thread(acquirer.ledger)
    recorded = {entry["attempt_id"]: entry["result"] for entry in entries}
    for request, (outcome, settled) in zip(requests, results, strict=True):
        assert isinstance(settled, Approved | Refused)
        assert recorded[request.attempt_id] == encode_answer(settled)
        if isinstance(outcome, Approved):
            assert settled == outcome
    assert any(isinstance(outcome, Unknown) for outcome, _ in results)
    charged = sum(isinstance(settled, Approved) for _, settled in results)
    assert totals["USD"]["captured_minor"] == charged * 1_000


@pytest.mark.chaos
async def test_what_was_answered_survives_sigkill(
    start_acquirer: Any, make_request: MakeRequest, tmp_path: Path
) -> None:
    """Killed three times under load, the acquirer keeps each answer it gave and settles what it left open."""
    outcomes: dict[ProcessorRequest, Outcome] = {}
    path = tmp_path / "ledger.db"
    acquirer = start_acquirer(path, latency_ms=20, jitter_ms=20)
    port = acquirer.port
    for _ in range(3):
        outcomes |= await load_until_killed(acquirer, make_request)
        acquirer = start_acquirer(path, port=port)
    processor = HttpProcessor(acquirer.url, connect_timeout_s=TIMEOUT_S)
    settled = {request: await settle(processor, request) for request in outcomes}
    await processor.close()
    entries, totals = await asyncio.to_thread(acquirer.ledger)
    assert len({entry["attempt_id"] for entry in entries}) == len(entries) == len(outcomes)
    answered = [request for request, outcome in outcomes.items() if isinstance(outcome, Approved)]
    assert len(answered) >= 600
    assert len(answered) < len(outcomes)
    assert [settled[request] for request in answered] == [outcomes[request] for request in answered]
    charged = [request for request, result in settled.items() if isinstance(result, Approved)]
    assert totals["USD"]["captured_minor"] == sum(request.amount_minor for request in charged)
    assert set(map(type, settled.values())) <= {Approved, Refused}


async def load_until_killed(
    acquirer: Any, make_request: MakeRequest, answers_wanted: int = 200
) -> dict[ProcessorRequest, Outcome]:
    """Charge from 64 workers, kill the acquirer after so many answers, and return what each attempt heard."""
    outcomes: dict[ProcessorRequest, Outcome] = {}
    enough, killed = asyncio.Event(), asyncio.Event()
    processor = HttpProcessor(acquirer.url, tries_max=1)

    async def work() -> None:
        while not killed.is_set():
            request = make_request(amount_minor=1 + len(outcomes), capture=True)
            outcomes[request] = await processor.perform(request, timeout_s=TIMEOUT_S)
            if len(outcomes) >= answers_wanted:
                enough.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(64):
            group.create_task(work())
        await enough.wait()
        await asyncio.to_thread(acquirer.kill)
        killed.set()
    await processor.close()
    return outcomes
