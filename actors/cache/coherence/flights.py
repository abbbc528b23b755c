"""Loads under way: one for each key, whoever asks, until what it would find may be out of date."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Flight:
    """One load. ``waiters`` are told when it ends, with or without a result."""

    key: str
    tag: str | None
    token: int
    loader: int
    deadline: float
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def land(self) -> None:
        """Let the waiters ask again."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters = []


class Flights:
    """The loads of a shard, by key. A transition calls off those of its keys, so that no later read joins them."""

    def __init__(self, load_timeout_s: float, first_token: int) -> None:
        self._load_timeout_s = load_timeout_s
        self._next_token = first_token
        self._by_key: dict[str, Flight] = {}
        self._by_tag: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def find(self, key: str, now: float) -> Flight | None:
        """Return the load that may be joined; one whose loader takes too long is called off."""
        flight = self._by_key.get(key)
        if flight is not None and flight.deadline <= now:
            self.call_off(key)
            return None
        return flight

    def begin(self, key: str, tag: str | None, loader: int, now: float) -> Flight:
        """Begin a load by this session."""
        assert key not in self._by_key, "one load for each key"
        self._next_token += 1
        flight = self._by_key[key] = Flight(key, tag, self._next_token, loader, now + self._load_timeout_s)
        if tag is not None:
            self._by_tag.setdefault(tag, set()).add(key)
        return flight

    def finish(self, key: str, token: int) -> Flight | None:
        """Take the load out; None where it was called off, and what it found may not be kept."""
        flight = self._by_key.get(key)
        if flight is None or flight.token != token:
            return None
        self._remove(flight)
        return flight

    def call_off(self, name: str) -> None:
        """End the load of this key, or all loads with this tag."""
        for key in (name, *self._by_tag.get(name, ())):
            flight = self._by_key.get(key)
            if flight is not None:
                self._remove(flight)
                flight.land()

    def call_off_all(self) -> None:
        """End every load."""
        for key in list(self._by_key):
            self.call_off(key)

    def abandon(self, loader: int) -> None:
        """Call off the loads of a process that is not believed any more."""
        for flight in [flight for flight in self._by_key.values() if flight.loader == loader]:
            self.call_off(flight.key)

    def _remove(self, flight: Flight) -> None:
        del self._by_key[flight.key]
        if flight.tag is not None:
            keys = self._by_tag[flight.tag]
            keys.discard(flight.key)
            if not keys:
                del self._by_tag[flight.tag]
