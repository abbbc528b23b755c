"""One Redis process as one of ours sees it: its connections, the breaker before them, and whether it restarted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from actors.runtime.breaker import Breaker
from actors.runtime.errors import OutcomeUnknown, Unavailable

RESOURCE = "redis"
WAITERS_MAX = 1000
RETRY_AFTER_S = 1.0
_REASON_CHARS = 200

Words: TypeAlias = Sequence[bytes | str | int]
"""One command: its name and arguments."""
Dial: TypeAlias = Callable[[], AbstractConnection]
"""Make a connection that is not connected yet."""

# redis-py's errors of a cluster are no `RedisError`.
FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError)
# Answers by which a healthy server says what to do first. `AskError` is the parent of `MovedError`.
_ADVICE = (AskError, NoScriptError)


class ServerRestarted(Unavailable):
    """The server's process is not the one whose identity was read last. Nothing was done; read the identity."""


class _Stage(IntEnum):
    """How far a call came."""

    WAITING = 0
    REACHING = 1
    SENT = 2


class Node:
    """Send commands to one process over at most ``pool_size`` connections; more callers wait, within their deadlines.

    A connection whose call was cut short is closed, so no answer is ever read by the wrong caller. Bound to one loop.
    """

    def __init__(self, name: str, dial: Dial, breaker: Breaker, *, pool_size: int) -> None:
        assert pool_size > 0
        self.name = name
        self.breaker = breaker
        self.expected_run_id: str | None = None
        """The only process to talk to, by the id that Redis draws at each start; None for any."""
        self._dial = dial
        self._slots = asyncio.Semaphore(pool_size)
        self._waiting = 0
        self._idle: list[AbstractConnection] = []
        # A connection does not outlive the server's process, so this is read once for each.
        self._run_ids: WeakKeyDictionary[AbstractConnection, str] = WeakKeyDictionary()
        self._last_failure = ""
        self._closed = False

    async def run_id(self, deadline: float) -> str:
        """Ask which process answers now, whether it is the expected one or not; raises as ``exchange``."""
        (info,) = await self.exchange([("INFO", "server")], deadline, expected=False)
        if isinstance(info, ResponseError):
            raise Unavailable(RESOURCE, describe(info), RETRY_AFTER_S)
        return field_of(info, "run_id")

    async def exchange(self, commands: Sequence[Words], deadline: float, *, expected: bool = True) -> list[Any]:
        """Send the commands in one write and return the answers in order, with errors of the server as objects.

        Raises Unavailable where nothing was sent, at once and without I/O while the breaker is open; ServerRestarted
        where the process is not the ``expected`` one; OutcomeUnknown where something was sent and the answers did not
        all come before ``deadline``, a time of the loop's clock.
        """
        now = _now()
        if self._closed:
            raise Unavailable(RESOURCE, "closed", RETRY_AFTER_S)
        if self._waiting >= WAITERS_MAX:
            raise Unavailable(RESOURCE, "too many calls wait for a connection", RETRY_AFTER_S)
        ticket = self.breaker.ask(now)
        if ticket is None:
            reason = f"left alone after {self._last_failure}"
            raise Unavailable(RESOURCE, reason, self.breaker.retry_after_s(now))
        stage = _Stage.WAITING
        try:
            async with asyncio.timeout_at(deadline):
                self._waiting += 1
                try:
                    await self._slots.acquire()
                finally:
                    self._waiting -= 1
                try:
                    stage = _Stage.REACHING
                    connection = await self._take(self.expected_run_id if expected else None, ticket)
                    stage = _Stage.SENT
                    answers = await self._talk(connection, commands)
                finally:
                    self._slots.release()
        except FAILURES as error:
            raise self._failure(error, stage, ticket) from error
        self._judge(answers, ticket)
        return answers

    async def close(self) -> None:
        """Close the idle connections; those in use close when their calls end. Further calls are refused."""
        self._closed = True
        await self._drop_idle()

    async def _talk(self, connection: AbstractConnection, commands: Sequence[Words]) -> list[Any]:
        whole = False
        try:
            await connection.send_packed_command(connection.pack_commands(commands))
            answers = [await _answer(connection) for _ in commands]
            whole = True
            return answers
        finally:
            if whole and not self._closed:
                self._idle.append(connection)
            else:
                await connection.disconnect(nowait=True)

    async def _take(self, run_id: str | None, ticket: int) -> AbstractConnection:
        """Return a connection to that process, the one used last if there is one that the server has not closed."""
        while self._idle:
            connection = self._idle.pop()
            # `can_read` is true also at the end of the stream, which is what a restart of the server leaves.
            if run_id in (None, self._run_ids[connection]) and not await connection.can_read():
                return connection
            await connection.disconnect(nowait=True)
        connection = self._dial()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
            self._run_ids[connection] = field_of(await _ask(connection, "INFO", "server"), "run_id")
            if run_id not in (None, self._run_ids[connection]):
                self.breaker.succeeded(ticket, _now())
                raise ServerRestarted(RESOURCE, "the server restarted", 0.0)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    def _judge(self, answers: Sequence[Any], ticket: int) -> None:
        error = next((a for a in answers if isinstance(a, ResponseError) and not isinstance(a, _ADVICE)), None)
        if error is None:
            self.breaker.succeeded(ticket, _now())
        else:
            self._last_failure = describe(error)
            self.breaker.failed(ticket, _now())

    def _failure(self, error: BaseException, stage: _Stage, ticket: int) -> Unavailable | OutcomeUnknown:
        if stage is _Stage.WAITING:
            # Says that we are many, not that the server is ill; those that hold the connections report on it.
            self.breaker.unused(ticket, _now())
            return Unavailable(RESOURCE, "no connection came free", RETRY_AFTER_S)
        now = _now()
        self._last_failure = describe(error)
        self.breaker.failed(ticket, now, timed_out=isinstance(error, TimeoutError | RedisTimeoutError))
        if stage is _Stage.SENT:
            return OutcomeUnknown(RESOURCE, self._last_failure)
        return Unavailable(RESOURCE, self._last_failure, self.breaker.retry_after_s(now))

    async def _drop_idle(self) -> None:
        while self._idle:
            # Until it is closed: over TLS that takes a word of the server, which a loop that ends would not hear.
            with suppress(*FAILURES):
                await self._idle.pop().disconnect()


def describe(error: BaseException) -> str:
    """Return what went wrong in a line."""
    if type(error) is TimeoutError:
        return "no answer within the deadline"
    return f"{type(error).__name__}: {error}"[:_REASON_CHARS]


def field_of(info: bytes, name: str) -> str:
    """Return a field of the answer to INFO; empty where it has none."""
    for line in info.decode().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value
    return ""


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _ask(connection: AbstractConnection, *words: str) -> Any:
    await connection.send_command(*words)
    return await connection.read_response()


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
