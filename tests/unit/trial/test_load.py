"""The open load and its HTTP, against a server in the same process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from cluster.trial.capacity import as_step
from cluster.trial.load import Outcome, Tally, offer, outcome_of
from cluster.trial.wire import Broken, Pool, payment_request, read_status

_PAID = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def _server(answer: bytes, *, closes: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer each request of a connection with the same bytes."""
    heads: list[bytes] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        while head := await _head(reader):
            heads.append(head)
            writer.write(answer)
            await writer.drain()
            if closes:
                break
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", heads
    finally:
        server.close()
        # Each ends when its client has closed.
        await asyncio.gather(*serving)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return head


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (201, "paid"),
        (200, "paid"),
        (202, "pending"),
        (429, "refused"),
        (503, "refused"),
        (402, "failed"),
        (500, "failed"),
    ],
)
def test_an_answer_counts_by_its_status(status: int, outcome: str) -> None:
    """A refusal is no failure; a decline is, for the token that is paid with is never declined."""
    assert outcome_of(status) == outcome


def test_a_request_can_be_read_by_a_server() -> None:
    """The length is right, and each has a key of its own."""
    requests = [payment_request("http://127.0.0.1:8000", "sk_test_x", "why") for _ in range(2)]
    head, body = requests[0].split(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["description"] == "why"
    assert requests[0] != requests[1]


def test_an_answer_is_read_once_it_is_whole() -> None:
    """And what is no answer is told apart."""
    assert all(read_status(_PAID[:end]) is None for end in range(len(_PAID)))
    assert read_status(_PAID) == (201, False)
    assert read_status(_PAID.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)) == (201, True)
    with pytest.raises(Broken):
        read_status(b"HTTP/1.1 200 OK\r\n\r\n")


async def test_a_load_is_offered_as_often_as_asked() -> None:
    """Each payment is sent once, under a key of its own, over few connections."""
    async with _server(_PAID) as (url, heads):
        pool = Pool(url, None, 8)
        tally = await offer(
            lambda: pool.ask(payment_request(url, "k", "d")), 200, 0.5, is_exhausted=lambda: pool.is_exhausted
        )
        pool.close()
    assert tally.outcomes.total() == 100
    assert len(heads) == tally.outcomes[Outcome.PAID]
    assert len(set(heads)) == len(heads)


async def test_what_is_not_answered_is_told_apart() -> None:
    """Refused, lost, and nobody there."""
    for answer, closes, outcome in (
        (b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", False, Outcome.REFUSED),
        (b"", True, Outcome.BROKEN),
        (b"what?\r\n\r\n", False, Outcome.BROKEN),
    ):
        async with _server(answer, closes=closes) as (url, _):
            pool = Pool(url, None, 8)
            tally = await offer(partial(pool.ask, payment_request(url, "k", "d")), 10, 0.3, is_exhausted=lambda: False)
            pool.close()
        assert tally.outcomes == {outcome: 3}
    tally = await offer(lambda: pool.ask(b"x"), 10, 0.2, is_exhausted=lambda: False)
    assert tally.outcomes == {Outcome.BROKEN: 2}


async def test_what_cannot_be_sent_is_counted_and_not_queued() -> None:
    """An open load that waits for room would be a closed one."""
    tally = await offer(asyncio.Event().wait, 100, 0.1, is_exhausted=lambda: True)
    assert tally.outcomes == {Outcome.UNSENT: 10}


def test_a_step_is_what_was_done_within_it() -> None:
    """What a backlog answers after the step is no goodput; a 202 is neither good nor failed."""
    tally = Tally()
    tally.outcomes.update(
        {Outcome.PAID: 90, Outcome.PENDING: 5, Outcome.REFUSED: 3, Outcome.BROKEN: 1, Outcome.UNSENT: 1}
    )
    tally.took.record(0.1, 90)
    tally.paid_in_time = 80
    step = as_step(50, 2, tally, 3.0)
    assert (step.goodput_per_s, step.refused, step.failed, step.cores) == (40, 4, 1, 1.5)
    assert step.p99_ms == pytest.approx(100, rel=0.05)
    assert as_step(50, 2, Tally(), 0.0).per_core_s is None
