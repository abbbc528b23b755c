"""What becomes of a request whose time is over: called off before it has begun, answered with what is known after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from actors.runtime.clock import SystemClock
from actors.runtime.errors import DeadlineExceeded
from serve_app.admission.admission import Admission
from serve_app.admission.work import Work
from serve_app.attempts.answer import Answer
from serve_app.attempts.idempotent import IdempotentRequests
from serve_app.attempts.owned import OwnedWork
from serve_app.attempts.progress import Progress
from serve_app.attempts.repository import AttemptRepository, StoredClaim
from serve_app.attempts.rows import ClaimKey
from serve_app.caching.changes import Changes
from serve_app.domain.attempt import AttemptState

_CLOCK = SystemClock()
_KEY = ClaimKey(UUID(int=1), False, "key")
_ID = UUID(int=2)
_PENDING = Answer(AttemptState.UNKNOWN, _ID, b"pending", None)
_PAID = Answer(AttemptState.SUCCEEDED, _ID, b"paid", None)


class _Work:
    """Work in three steps, each of which ends when it is told to."""

    def __init__(self) -> None:
        self.may_begin, self.may_store, self.may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.begun = 0
        self.called_off = 0

    async def run(self, progress: Progress) -> Answer:
        try:
            await self.may_begin.wait()
        except asyncio.CancelledError:
            self.called_off += 1
            raise
        progress.begins()
        self.begun += 1
        await self.may_store.wait()
        progress.begun(lambda: _PENDING)
        await self.may_end.wait()
        return _PAID


class _Requests:
    """Requests with a key and a deadline, admitted as the router does it."""

    def __init__(self) -> None:
        self.admission = Admission.of(_CLOCK, lambda: 0.0, queue_max=10, workers=0)
        self.owned = OwnedWork(10)
        # Nothing here comes to the stored claims: no key is taken by another process.
        self._requests = IdempotentRequests(
            AttemptRepository.__new__(AttemptRepository), self.owned, Changes(None), _CLOCK
        )

    async def ask(self, work: _Work, *, within_s: float = 30.0, key: ClaimKey | None = _KEY) -> Answer:
        async with self._admitted(within_s):
            return await self._requests.answer(key, b"same", work.run, _never, look_first=False)

    @asynccontextmanager
    async def _admitted(self, within_s: float) -> AsyncIterator[None]:
        ticket = await self.admission.enter(
            "m", "kind", Work.CREATING, live=False, calls_processor=True, deadline=_CLOCK.monotonic() + within_s
        )
        with ticket:
            yield

    @property
    def in_flight(self) -> int:
        return sum(self.admission.figures().in_flight.values())


async def _never(_: StoredClaim) -> bytes:
    raise AssertionError("nothing is stored here")


async def test_what_has_not_begun_is_called_off() -> None:
    """It is not begun later either, and its place is free."""
    requests, work = _Requests(), _Work()
    with pytest.raises(DeadlineExceeded):
        await requests.ask(work, within_s=0.02)
    work.may_begin.set()
    await requests.owned.drain(1)
    assert (work.called_off, work.begun, requests.in_flight) == (1, 0, 0)


async def test_what_has_begun_is_answered_with_what_is_known_and_goes_on() -> None:
    """Its place stays taken until its own end, and who repeats the request gets the outcome."""
    requests, work = _Requests(), _Work()
    work.may_begin.set()
    work.may_store.set()
    assert await requests.ask(work, within_s=0.02) is _PENDING
    assert requests.in_flight == 2
    again = asyncio.create_task(requests.ask(work))
    await asyncio.sleep(0)
    work.may_end.set()
    assert (await again).body == b"paid"
    assert (work.begun, requests.in_flight) == (1, 0)


async def test_what_is_being_stored_at_that_moment_is_waited_for() -> None:
    """Whether the answer is 504 or 202 must be true."""
    requests, work = _Requests(), _Work()
    work.may_begin.set()
    asking = asyncio.create_task(requests.ask(work, within_s=0.02))
    await asyncio.sleep(0.1)
    assert not asking.done()
    work.may_store.set()
    assert await asking is _PENDING
    work.may_end.set()
    await requests.owned.drain(1)


async def test_what_ends_within_its_time_is_its_answer() -> None:
    """With a key and without one."""
    for key in (_KEY, None):
        requests, work = _Requests(), _Work()
        for step in (work.may_begin, work.may_store, work.may_end):
            step.set()
        assert await requests.ask(work, key=key) is _PAID
        assert requests.in_flight == 0


async def test_a_request_that_is_cancelled_calls_off_what_has_not_begun() -> None:
    """The next one with its key runs anew at once, and is not told of the cancellation."""
    requests, work = _Requests(), _Work()
    first = asyncio.create_task(requests.ask(work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(requests.ask(work))
    for step in (work.may_begin, work.may_store, work.may_end):
        step.set()
    assert await second is _PAID
    assert (work.called_off, work.begun) == (1, 1)


async def test_a_request_that_is_cancelled_cancels_nothing_that_has_begun() -> None:
    """It ends as if its client were there."""
    requests, work = _Requests(), _Work()
    work.may_begin.set()
    first = asyncio.create_task(requests.ask(work))
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.may_store.set()
    work.may_end.set()
    assert await requests.owned.drain(1) == 0
    assert (work.called_off, work.begun, requests.in_flight) == (0, 1, 0)


async def test_one_who_gives_up_calls_nothing_off_that_another_waits_for() -> None:
    """The other gets the answer; while he waited for it, he held no place."""
    requests, work = _Requests(), _Work()
    first = asyncio.create_task(requests.ask(work))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(requests.ask(work))
    await asyncio.sleep(0.01)
    assert requests.in_flight == 2
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    for step in (work.may_begin, work.may_store, work.may_end):
        step.set()
    assert (await second).body == b"paid"
    assert (work.called_off, work.begun) == (0, 1)


async def test_too_late_is_not_begun_whoever_waits() -> None:
    """The deadline is that of the request that runs."""
    requests, work = _Requests(), _Work()
    first = asyncio.create_task(requests.ask(work, within_s=0.05))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(requests.ask(work))
    with pytest.raises(DeadlineExceeded):
        await first
    work.may_begin.set()
    with pytest.raises(DeadlineExceeded):
        await second
    assert work.begun == 0
