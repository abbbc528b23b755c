"""The place that a request holds: kept by the work that goes on after it, and given back when the last one ends."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Protocol

from serve_app.admission.gate import Entry


class Keeper(Protocol):
    """Whoever hands out places: `Admission`."""

    def away(self, entry: Entry) -> None:
        """Give the gateway's place to others while the processor works."""
        ...

    def back(self, entry: Entry) -> None:
        """Come back from the processor."""
        ...

    def leave(self, entry: Entry, *, counts: bool) -> None:
        """Give everything back."""
        ...


class Ticket:
    """A place at the gate, and until when the request may be worked on (monotonic seconds).

    Whoever works on the request holds it; the place is given back when nobody does any more.
    """

    __slots__ = ("_before", "_entry", "_holders", "_keeper", "deadline")

    def __init__(self, keeper: Keeper, entry: Entry, deadline: float) -> None:
        self._keeper = keeper
        self._entry = entry
        self._holders = 1
        self._before: Token[Ticket | None] | None = None
        self.deadline = deadline

    def __enter__(self) -> None:
        """Let what runs within the block, and the tasks that it starts, work under this ticket."""
        self._before = _current.set(self)

    def __exit__(self, *_: object) -> None:
        """End the block's part."""
        assert self._before is not None
        _current.reset(self._before)
        self.release()

    def hold(self) -> None:
        """Keep the place until one more `release`."""
        self._holders += 1

    def release(self) -> None:
        """End one holder's part."""
        self._holders -= 1
        assert self._holders >= 0, "a ticket is released as often as it is held"
        if self._holders == 0:
            self._keeper.leave(self._entry, counts=True)

    def give_up(self) -> None:
        """Give the place back now: whoever only waits for another's answer needs none. Safe to repeat."""
        self._keeper.leave(self._entry, counts=False)

    def away(self) -> None:
        """Leave the gateway's place to others."""
        self._keeper.away(self._entry)

    def back(self) -> None:
        """Take it again, at once."""
        self._keeper.back(self._entry)


_current: ContextVar[Ticket | None] = ContextVar("ticket", default=None)


def current_ticket() -> Ticket | None:
    """Return the ticket of the request that this task works for; None where nobody asked for it to be admitted."""
    return _current.get()


class AtProcessor:
    """While the processor works, leaves the gateway's place of the current ticket, if there is one, to others."""

    __slots__ = ("_ticket",)

    def __init__(self) -> None:
        self._ticket = current_ticket()

    def __enter__(self) -> None:
        if self._ticket is not None:
            self._ticket.away()

    def __exit__(self, *_: object) -> None:
        if self._ticket is not None:
            self._ticket.back()


def wait_outside() -> None:
    """Give the current ticket's place back: whoever only waits for another's answer needs none."""
    ticket = current_ticket()
    if ticket is not None:
        ticket.give_up()
