"""A mix: which requests make up a load, and which of them are its work."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tests.bench.overload.prepared import authorized_payments
from tests.bench.overload.schedule import Arrivals
from tests.bench.overload.stream import Merchant, Request, Stream

READABLE = 100
LISTED = 10


@dataclass(frozen=True, slots=True)
class Shares:
    """Hold how many of each kind there are, in parts of a load's rate."""

    create: float
    capture: float = 0.0
    read: float = 0.0
    list: float = 0.0


# What the processor does is the work, and adds up to the rate; reads come on top.
PROCESSOR_WORK = Shares(create=0.95, capture=0.05, read=0.05, list=0.01)
# Where the machine is the limit, everything is work.
MACHINE_WORK = Shares(create=0.8, read=0.15, list=0.05)
CREATES = Shares(create=1.0)


class Mix:
    """Builds the streams of one merchant's load; payments that it captures and reads are made as they are needed."""

    def __init__(self, merchant: Merchant, shares: Shares, work: tuple[str, ...], *, at_once: int) -> None:
        """``work`` names the kinds whose goodput counts, ``at_once`` bounds what is prepared at the same time."""
        self.merchant = merchant
        self._shares = shares
        self._work = work
        self._at_once = at_once
        self._readable = self._prepare(READABLE) if shares.read else ()

    def work(self, prefix: str = "") -> tuple[str, ...]:
        """Return the names of the streams whose goodput counts."""
        return tuple(prefix + name for name in self._work)

    def streams(self, rate: float, start_s: int, stop_s: int, *, prefix: str = "", paced: bool = False) -> list[Stream]:
        """Return the streams of a load at a rate; prepares the payments that it captures."""
        found = []
        for name in ("create", "capture", "read", "list"):
            if share := getattr(self._shares, name):
                arrivals = Arrivals(rate * share, start_s, stop_s, paced)
                found.append(Stream(prefix + name, self._request(name, arrivals), arrivals))
        return found

    def _request(self, name: str, arrivals: Arrivals) -> Request:
        match name:
            case "create":
                return self.merchant.create()
            case "capture":
                return self.merchant.capture(self._prepare(enough(arrivals)))
            case "read":
                return self.merchant.read(self._readable)
            case _:
                return self.merchant.newest(LISTED)

    def _prepare(self, count: int) -> tuple[str, ...]:
        return authorized_payments(self.merchant, count, at_once=self._at_once)


def enough(arrivals: Arrivals) -> int:
    """Return a number that arrivals exceed once in some thousand million runs: six standard deviations more."""
    expected = arrivals.rate_per_s * (arrivals.stop_s - arrivals.start_s)
    return math.ceil(expected + 6 * math.sqrt(expected) + 6)
