"""What a client makes of Ray's errors; no Ray runs here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    PendingCallsLimitExceeded,
    RayTaskError,
    UnserializableException,
)

from actors.runtime import client as module
from actors.runtime.client import ActorClient
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, RowRejected, Unavailable


class Handle:
    """An actor's handle whose answers are scripted: a value, or an exception to raise."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.calls: list[tuple[Any, ...]] = []

    @property
    def work(self) -> Handle:
        return self

    def remote(self, *args: Any) -> Awaitable[Any]:
        self.calls.append(args)
        answer = self._answers.pop(0)
        if isinstance(answer, PendingCallsLimitExceeded):
            raise answer
        return self._give(answer)

    async def _give(self, answer: Any) -> Any:
        if answer is asyncio.Event:
            await asyncio.Event().wait()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Client(ActorClient):
    """Finds the handles that it is given, one after the other."""

    def __init__(self, *handles: Handle) -> None:
        super().__init__("worker", "test")
        self._handles = list(handles)
        self.resolved = 0

    async def _resolve(self) -> Any:
        self.resolved += 1
        self._handle = self._handles.pop(0)
        return self._handle

    async def work(self, *args: Any, repeatable: bool = True, timeout_s: float = 5.0) -> Any:
        return await self._ask("work", *args, timeout_s=timeout_s, repeatable=repeatable)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.0)


def _died() -> ActorDiedError:
    return ActorDiedError()


def _unavailable() -> ActorUnavailableError:
    return ActorUnavailableError("restarting", b"\0" * 16)


def _failed(cause: BaseException) -> RayTaskError:
    return RayTaskError("work", "a traceback of another process", cause)  # type: ignore[no-untyped-call]


async def test_an_answer_is_returned_and_the_handle_kept() -> None:
    """The actor is looked up once."""
    handle = Handle("one", "two")
    client = Client(handle)
    assert [await client.work(1), await client.work(2)] == ["one", "two"]
    assert (client.resolved, handle.calls) == (1, [(1,), (2,)])


async def test_the_actor_s_own_error_arrives_as_it_is() -> None:
    """The caller sees the cause, and no traceback of another process hangs on it."""
    client = Client(Handle(_failed(RowRejected("s", "23505", None))))
    with pytest.raises(RowRejected) as raised:
        await client.work()
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


async def test_a_timeout_of_the_actor_is_not_the_caller_s() -> None:
    """It is the actor's own error, as any other."""
    with pytest.raises(TimeoutError, match="mine"):
        await Client(Handle(_failed(TimeoutError("mine")))).work()


async def test_a_cause_that_could_not_be_pickled_is_still_an_error() -> None:
    """Its text is all that is left."""
    failure = _failed(ValueError("x"))
    failure.cause = None
    with pytest.raises(RuntimeError, match="traceback"):
        await Client(Handle(failure)).work()


async def test_an_error_that_cannot_be_unpickled_is_not_a_loss() -> None:
    """The actor lives and answered; asking again would end the same."""
    client = Client(Handle(UnserializableException("the original's text")))
    with pytest.raises(RuntimeError, match="the original's text"):
        await client.work()
    assert client.resolved == 1


async def test_a_full_mailbox_is_overload() -> None:
    """Ray refused to send: nothing was done."""
    with pytest.raises(Overloaded, match="worker"):
        await Client(Handle(PendingCallsLimitExceeded("full"))).work(repeatable=False)


@pytest.mark.parametrize("lost", [_died, _unavailable])
async def test_a_repeatable_call_finds_the_actor_anew(lost: Callable[[], Exception]) -> None:
    """After a loss the name is resolved again and the call repeated."""
    client = Client(Handle(lost()), Handle(lost()), Handle("back"))
    assert await client.work() == "back"
    assert client.resolved == 3


async def test_a_call_that_is_not_repeatable_is_sent_once() -> None:
    """It may have happened, and is not done twice."""
    second = Handle("never")
    client = Client(Handle(_died()), second)
    with pytest.raises(OutcomeUnknown, match="ActorDiedError"):
        await client.work(repeatable=False)
    assert second.calls == []


async def test_an_actor_that_stays_away_is_unavailable() -> None:
    """Repeats end with the deadline, and say why."""
    client = Client(Handle(_died()), Handle(asyncio.Event))
    with pytest.raises(Unavailable, match="ActorDiedError"):
        await client.work(timeout_s=0.02)


async def test_no_answer_is_a_deadline_where_the_call_may_be_repeated() -> None:
    """The caller may simply ask again."""
    with pytest.raises(DeadlineExceeded, match=r"worker\.work"):
        await Client(Handle(asyncio.Event)).work(timeout_s=0.01)


async def test_no_answer_is_unknown_where_the_call_may_not_be_repeated() -> None:
    """It was sent."""
    with pytest.raises(OutcomeUnknown, match="no answer"):
        await Client(Handle(asyncio.Event)).work(timeout_s=0.01, repeatable=False)


async def test_without_ray_an_actor_is_unavailable() -> None:
    """Asking must not start a Ray by the way."""
    with pytest.raises(Unavailable, match="not connected to Ray"):
        await ActorClient("worker", "test")._ask("work", timeout_s=1, repeatable=True)
