"""One connection: an exchange ends once, whatever happens to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.bench.overload.answer import Answer, Outcome
from tests.bench.overload.connection import Connection, Exchange

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Owner:
    """Remembers what it is told."""

    ready: int = 0
    lost: list[tuple[Exchange | None, str]] = field(default_factory=list)

    def is_ready(self, connection: Connection) -> None:
        """Count."""
        self.ready += 1

    def is_lost(self, connection: Connection, exchange: Exchange | None, why: str) -> None:
        """Keep."""
        self.lost.append((exchange, why))


class Wire(asyncio.Transport):
    """Keeps what was written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep."""
        self.written += data

    def close(self) -> None:
        """Note."""
        self.closed = "closed"

    def abort(self) -> None:
        """Note."""
        self.closed = "aborted"


@dataclass
class Ends:
    """Collects how exchanges ended."""

    outcomes: list[Outcome] = field(default_factory=list)

    def exchange(self) -> Exchange:
        """Return one that ends here."""
        return Exchange(b"request", 0.0, self._done)

    def _done(self, _exchange: Exchange, outcome: Outcome, _answer: Answer | None, _what: str) -> None:
        self.outcomes.append(outcome)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def connected(owner: Owner, wire: Wire, first: Exchange | None = None) -> Connection:
    """Return a connection that has just been opened."""
    connection = Connection(owner, first)
    connection.connection_made(wire)
    return connection


def test_it_is_ready_again_after_each_answer(wire: Wire) -> None:
    """An answer in two parts ends the exchange once, and the next request may be sent."""
    owner, ends = Owner(), Ends()
    connection = connected(owner, wire)
    connection.send(ends.exchange())
    connection.data_received(ANSWER[:10])
    assert ends.outcomes == []
    connection.data_received(ANSWER[10:])
    assert ends.outcomes == [Outcome.GOOD]
    connection.send(ends.exchange())
    assert (owner.ready, wire.written, connection.served) == (2, b"requestrequest", 1)


def test_what_it_was_opened_for_is_sent_at_once(wire: Wire) -> None:
    """It does not report for duty while something is on its way."""
    owner, ends = Owner(), Ends()
    connected(owner, wire, ends.exchange())
    assert (owner.ready, wire.written) == (0, b"request")


def test_it_is_not_used_again_where_the_server_says_so(wire: Wire) -> None:
    """Connection: close ends it with the answer."""
    owner, ends = Owner(), Ends()
    connected(owner, wire, ends.exchange()).data_received(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (ends.outcomes, owner.ready, wire.closed) == ([Outcome.GOOD], 0, "closed")


def test_a_loss_hands_the_exchange_back(wire: Wire) -> None:
    """Its owner decides whether to send it again; it has not ended."""
    owner, ends = Owner(), Ends()
    exchange = ends.exchange()
    connected(owner, wire, exchange).connection_lost(None)
    assert owner.lost == [(exchange, "the connection was closed: by the server")]
    assert ends.outcomes == []


def test_an_exchange_that_was_given_up_does_not_end_twice(wire: Wire) -> None:
    """What comes after is nobody's answer."""
    owner, ends = Owner(), Ends()
    connection = connected(owner, wire, ends.exchange())
    connection.abandon(Outcome.UNANSWERED, "too late")
    connection.data_received(ANSWER)
    connection.connection_lost(None)
    assert (ends.outcomes, wire.closed, owner.lost[0][0]) == ([Outcome.UNANSWERED], "aborted", None)


def test_what_is_no_http_ends_the_exchange_and_the_connection(wire: Wire) -> None:
    """Bytes that cannot be read are an error of the server."""
    owner, ends = Owner(), Ends()
    connected(owner, wire, ends.exchange()).data_received(b"nonsense")
    assert (ends.outcomes, wire.closed) == ([Outcome.ERROR], "aborted")
