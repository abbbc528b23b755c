"""One keep-alive connection, one exchange at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from tests.bench.overload.answer import Answer, Outcome, read_answer


class Exchange:
    """A request on its way. ``done`` is called once, with the outcome, the answer if one came, and what happened
    where none did. ``due_s`` and ``sent_s`` are on the clock of whoever made it."""

    __slots__ = ("done", "due_s", "request", "sent_s")

    def __init__(self, request: bytes, due_s: float, done: Callable[[Exchange, Outcome, Answer | None, str], None]):
        self.request = request
        self.due_s = due_s
        self.sent_s = due_s
        self.done = done


class Owner(Protocol):
    """Who gives connections their work, and takes them back."""

    def is_ready(self, connection: Connection) -> None:
        """Take it: it is open, and nothing is on its way."""

    def is_lost(self, connection: Connection, exchange: Exchange | None, why: str) -> None:
        """Forget it; ``exchange`` is what was on its way."""


class Connection(asyncio.Protocol):
    """Send what it is given, and tell of the answer. ``served`` counts answers."""

    __slots__ = ("_buffer", "_owner", "_transport", "exchange", "served")

    def __init__(self, owner: Owner, first: Exchange | None) -> None:
        self._owner = owner
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self.exchange = first
        self.served = 0

    @property
    def has_begun_answer(self) -> bool:
        """Whether a part of an answer has come."""
        return bool(self._buffer)

    def send(self, exchange: Exchange) -> None:
        """Send a request; there must be none on its way."""
        assert self._transport is not None
        assert self.exchange is None
        self.exchange = exchange
        self._transport.write(exchange.request)

    def abandon(self, outcome: Outcome, why: str) -> None:
        """Give up what is on its way, and the connection with it."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.done(exchange, outcome, None, why)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what it was opened for, or report for duty."""
        # uvloop's is one in all but its ancestry.
        self._transport = cast(asyncio.WriteTransport, transport)
        if self.exchange is None:
            self._owner.is_ready(self)
        else:
            self._transport.write(self.exchange.request)

    def data_received(self, data: bytes) -> None:
        """Gather the answer; with its last byte the exchange is done."""
        exchange = self.exchange
        if exchange is None:
            # Unasked: HAProxy says 408 to a connection that it gives up, and closes it.
            return
        self._buffer = self._buffer + data if self._buffer else data
        try:
            answer = read_answer(self._buffer)
        except ValueError as error:
            self.abandon(Outcome.ERROR, str(error))
            return
        if answer is None:
            return
        self._buffer = b""
        self.exchange = None
        self.served += 1
        exchange.done(exchange, answer.outcome, answer, "")
        if answer.closes:
            assert self._transport is not None
            self._transport.close()
        else:
            self._owner.is_ready(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss."""
        exchange, self.exchange = self.exchange, None
        self._owner.is_lost(self, exchange, f"the connection was closed: {exc or 'by the server'}")
