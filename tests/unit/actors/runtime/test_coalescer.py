"""The coalescer, against a server that answers when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from actors.runtime import coalescer as module
from actors.runtime.coalescer import Coalescer
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable


class Server:
    """Hold each batch until the test answers it."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self._answers: list[asyncio.Future[Sequence[Any]]] = []
        self._arrived = asyncio.Event()

    async def send(self, items: list[Any]) -> Sequence[Any]:
        self.batches.append(items)
        answer: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        self._arrived.set()
        return await answer

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.batches) < count:
                self._arrived.clear()
                await self._arrived.wait()

    def answer(self, index: int, outcomes: Sequence[Any] | None = None) -> None:
        self._answers[index].set_result(self.batches[index] if outcomes is None else outcomes)

    def fail(self, index: int, error: BaseException) -> None:
        self._answers[index].set_exception(error)


async def turns(count: int = 5) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


def submit(coalescer: Coalescer[Any, Any], *items: Any) -> list[asyncio.Task[Any]]:
    return [asyncio.ensure_future(coalescer.submit(item)) for item in items]


def by_first_letter(item: str) -> Hashable:
    return item[0]


async def test_items_of_one_turn_leave_together() -> None:
    """One call carries what was submitted at the same time, in order."""
    server = Server()
    tasks = submit(Coalescer(server.send, name="c"), 1, 2, 3)
    await server.wait_for(1)
    assert server.batches == [[1, 2, 3]]
    server.answer(0, ["a", "b", "c"])
    assert await asyncio.gather(*tasks) == ["a", "b", "c"]


async def test_a_lone_item_leaves_on_the_next_turn() -> None:
    """Nothing waits for company: no timer stands between an item and its call."""
    server = Server()
    submit(Coalescer(server.send, name="c"), 1)
    await turns(3)
    assert server.batches == [[1]]


async def test_the_next_batch_gathers_while_as_many_as_may_are_out() -> None:
    """Beyond in_flight_max items wait, and leave together when a batch comes back."""
    server = Server()
    coalescer: Coalescer[int, int] = Coalescer(server.send, name="c", in_flight_max=2)
    for item in (1, 2, 3, 4):
        submit(coalescer, item)
        await turns()
    assert (server.batches, coalescer.in_flight, coalescer.queue_depth) == ([[1], [2]], 2, 2)
    server.answer(0)
    await server.wait_for(3)
    assert server.batches[2] == [3, 4]
    assert coalescer.queue_depth == 0


async def test_a_batch_is_bounded() -> None:
    """More than batch_max items leave as several batches."""
    server = Server()
    submit(Coalescer(server.send, name="c", batch_max=2), 1, 2, 3, 4, 5)
    await server.wait_for(3)
    assert server.batches == [[1, 2], [3, 4], [5]]


async def test_a_full_queue_refuses_at_once() -> None:
    """The bound holds, and what was accepted is not harmed."""
    server = Server()
    coalescer: Coalescer[int, int] = Coalescer(server.send, name="c", queue_max=2, in_flight_max=1)
    accepted = submit(coalescer, 1)
    await server.wait_for(1)
    accepted += submit(coalescer, 2, 3)
    await turns()
    with pytest.raises(Overloaded) as refused:
        await coalescer.submit(4)
    assert (refused.value.resource, refused.value.retry_after_s) == ("c", 1.0)
    server.answer(0)
    await server.wait_for(2)
    server.answer(1)
    assert await asyncio.gather(*accepted) == [1, 2, 3]


async def test_an_exception_as_an_outcome_fails_its_item_alone() -> None:
    """The others of the batch get their results."""
    server = Server()
    tasks = submit(Coalescer(server.send, name="c"), 1, 2, 3)
    await server.wait_for(1)
    server.answer(0, [1, ValueError("two"), 3])
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert (outcomes[0], str(outcomes[1]), outcomes[2]) == (1, "two", 3)


async def test_a_call_that_raises_fails_its_batch_and_no_other() -> None:
    """The coalescer goes on with the next batch."""
    server = Server()
    coalescer: Coalescer[int, int] = Coalescer(server.send, name="c", in_flight_max=1)
    first = submit(coalescer, 1, 2)
    await server.wait_for(1)
    second = submit(coalescer, 3)
    server.fail(0, RuntimeError("lost"))
    assert [str(error) for error in await asyncio.gather(*first, return_exceptions=True)] == ["lost", "lost"]
    await server.wait_for(2)
    server.answer(1)
    assert await second[0] == 3


async def test_too_few_outcomes_are_a_defect_that_nobody_hangs_on() -> None:
    """Every item of the batch fails; none waits for ever."""
    server = Server()
    tasks = submit(Coalescer(server.send, name="c"), 1, 2)
    await server.wait_for(1)
    server.answer(0, [1])
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, AssertionError) for outcome in outcomes)


async def test_a_submitter_that_is_cancelled_in_the_queue_is_not_sent() -> None:
    """Its item leaves no trace, and the others are served."""
    server = Server()
    coalescer: Coalescer[int, int] = Coalescer(server.send, name="c", in_flight_max=1)
    submit(coalescer, 1)
    await server.wait_for(1)
    two, three = submit(coalescer, 2, 3)
    await turns()
    two.cancel()
    await turns()
    server.answer(0)
    await server.wait_for(2)
    server.answer(1)
    assert server.batches[1] == [3]
    assert await three == 3


async def test_a_submitter_that_is_cancelled_in_flight_does_not_break_its_batch() -> None:
    """The item was sent; its outcome is dropped."""
    server = Server()
    one, two = submit(Coalescer(server.send, name="c"), 1, 2)
    await server.wait_for(1)
    one.cancel()
    server.answer(0)
    assert await two == 2
    assert one.cancelled()


async def test_a_cancelled_call_cancels_its_submitters() -> None:
    """When the loop shuts down nobody waits for an answer that cannot come."""

    async def send(_items: list[int]) -> list[int]:
        raise asyncio.CancelledError

    (task,) = submit(Coalescer(send, name="c"), 1)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_items_of_one_key_never_share_a_batch_and_keep_their_order() -> None:
    """A second item of a key waits until the first has its outcome, though others overtake it."""
    server = Server()
    coalescer: Coalescer[str, str] = Coalescer(server.send, name="c", key=by_first_letter)
    tasks = submit(coalescer, "a1", "a2", "b1", "a3")
    await server.wait_for(1)
    assert (server.batches, coalescer.queue_depth) == ([["a1", "b1"]], 2)
    submit(coalescer, "c1")
    await server.wait_for(2)
    server.answer(0)
    await server.wait_for(3)
    server.answer(2)
    await server.wait_for(4)
    server.answer(3)
    assert server.batches == [["a1", "b1"], ["c1"], ["a2"], ["a3"]]
    assert await asyncio.gather(*tasks) == ["a1", "a2", "b1", "a3"]


async def test_a_key_is_free_again_after_a_failure() -> None:
    """A batch that failed does not block its keys."""
    server = Server()
    coalescer: Coalescer[str, str] = Coalescer(server.send, name="c", key=by_first_letter)
    tasks = submit(coalescer, "a1", "a2")
    await server.wait_for(1)
    server.fail(0, RuntimeError("lost"))
    await server.wait_for(2)
    server.answer(1)
    assert [type(outcome) for outcome in await asyncio.gather(*tasks, return_exceptions=True)] == [RuntimeError, str]


async def test_a_cancelled_item_frees_its_key() -> None:
    """One that gave up in the queue does not hold back the next of its key."""
    server = Server()
    coalescer: Coalescer[str, str] = Coalescer(server.send, name="c", key=by_first_letter, in_flight_max=1)
    submit(coalescer, "x1")
    await server.wait_for(1)
    gone, _kept = submit(coalescer, "a1", "a2")
    await turns()
    gone.cancel()
    await turns()
    server.answer(0)
    await server.wait_for(2)
    assert server.batches[1] == ["a2"]


async def test_a_deadline_in_the_queue_means_that_nothing_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that was not sent never will be, and the caller learns so."""
    monkeypatch.setattr(module, "SWEEP_INTERVAL_S", 0.0)
    server = Server()
    coalescer: Coalescer[int, int] = Coalescer(server.send, name="c", in_flight_max=1)
    submit(coalescer, 1)
    await server.wait_for(1)
    with pytest.raises(DeadlineExceeded, match="c did not finish"):
        await coalescer.submit(2, timeout_s=0.0)
    server.answer(0)
    await turns()
    assert server.batches == [[1]]


async def test_a_deadline_in_flight_leaves_the_outcome_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that was sent may have been handled."""
    monkeypatch.setattr(module, "SWEEP_INTERVAL_S", 0.0)
    server = Server()
    coalescer: Coalescer[int, int] = Coalescer(server.send, name="c")
    task = asyncio.ensure_future(coalescer.submit(1, timeout_s=0.01))
    await server.wait_for(1)
    with pytest.raises(OutcomeUnknown, match="no answer within the deadline"):
        await task
    server.answer(0)
    await turns()
    assert coalescer.in_flight == 0


async def test_a_deadline_of_a_read_leaves_nothing_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent changed nothing, whether it arrived or not."""
    monkeypatch.setattr(module, "SWEEP_INTERVAL_S", 0.0)
    server = Server()
    task = asyncio.ensure_future(Coalescer(server.send, name="c", writes=False).submit(1, timeout_s=0.01))
    await server.wait_for(1)
    with pytest.raises(DeadlineExceeded):
        await task
    server.answer(0)


async def test_a_held_item_has_a_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for its key gives up as the others do."""
    monkeypatch.setattr(module, "SWEEP_INTERVAL_S", 0.0)
    server = Server()
    coalescer: Coalescer[str, str] = Coalescer(server.send, name="c", key=by_first_letter)
    (first,) = submit(coalescer, "a1")
    await server.wait_for(1)
    with pytest.raises(DeadlineExceeded):
        await coalescer.submit("a2", timeout_s=0.0)
    server.answer(0)
    assert await first == "a1"
    await turns()
    assert (server.batches, coalescer.queue_depth) == ([["a1"]], 0)


async def test_an_answer_in_time_beats_the_deadline() -> None:
    """A deadline that is not reached changes nothing."""
    server = Server()
    task = asyncio.ensure_future(Coalescer(server.send, name="c").submit(1, timeout_s=60))
    await server.wait_for(1)
    server.answer(0)
    assert await task == 1


async def test_drain_waits_for_what_was_submitted_and_refuses_the_rest() -> None:
    """Queued and held items are finished first."""
    server = Server()
    coalescer: Coalescer[str, str] = Coalescer(server.send, name="c", key=by_first_letter, in_flight_max=1)
    tasks = submit(coalescer, "a1", "a2")
    await server.wait_for(1)
    draining = asyncio.ensure_future(coalescer.drain())
    await turns()
    with pytest.raises(Unavailable, match="draining"):
        await coalescer.submit("b1")
    server.answer(0)
    await server.wait_for(2)
    assert not draining.done()
    server.answer(1)
    await draining
    await coalescer.drain()
    assert await asyncio.gather(*tasks) == ["a1", "a2"]


async def test_draining_what_is_idle_returns_at_once() -> None:
    """There is nothing to wait for."""
    await Coalescer(Server().send, name="c").drain()


async def test_drain_ends_when_the_last_waiting_caller_gives_up() -> None:
    """A queue of cancelled items is an empty queue."""
    server = Server()
    coalescer: Coalescer[int, int] = Coalescer(server.send, name="c", in_flight_max=1)
    submit(coalescer, 1)
    await server.wait_for(1)
    (gone,) = submit(coalescer, 2)
    await turns()
    draining = asyncio.ensure_future(coalescer.drain())
    gone.cancel()
    server.answer(0)
    async with asyncio.timeout(5):
        await draining
