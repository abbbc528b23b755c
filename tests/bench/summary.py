"""The summary: medians over the rounds, ratios of subjects round by round, and the targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.window import Window

RATIO_CONNECTIONS = 64
LATENCY_CONNECTIONS = 1
PEERS = ("peer", "peer-cte")
PEER_GROUPS = ("postgresql", "load generator")


@dataclass(frozen=True, slots=True)
class Line:
    """Hold the medians of one subject at one number of connections."""

    subject: str
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_1000: dict[str, float]
    wal_bytes_per_payment: float | None
    writes_per_payment: float | None


@dataclass(frozen=True, slots=True)
class Figure:
    """Hold one figure's median and range over the rounds, with what it must reach, if anything."""

    name: str
    value: float
    low: float
    high: float
    bound: float | None = None
    aim: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Tell whether the median reaches the bound; None where there is none."""
        if self.bound is None:
            return None
        return self.value < self.bound if self.at_most else self.value >= self.bound


def lines(windows: Sequence[Window]) -> list[Line]:
    """Return one line for each subject and number of connections, in the order of first appearance."""
    pairs = dict.fromkeys((window.connections, window.subject) for window in windows)
    return [_line(list(_select(windows, subject, connections))) for connections, subject in pairs]


def idle_share(windows: Sequence[Window]) -> float | None:
    """Return the share of CPU time, at most, that a peer's windows lost to the gateway that idles beside it.

    It costs the peers some speed which they would have alone. Its workers run at a lower priority than theirs
    and take less than their share: so the true ratio lies between the one shown and the one less this share.
    """
    shares = [
        1 - sum(window.cpu.get(group, 0.0) for group in (*PEER_GROUPS, window.subject)) / spent
        for window in windows
        if window.subject in PEERS and (spent := sum(window.cpu.values()))
    ]
    return median(shares) if shares else None


def figures(windows: Sequence[Window]) -> list[Figure]:
    """Return the ratios at 64 connections and the median latency at one; leaves out what was not measured."""
    found = [
        ratio(windows, "peer", bound=1.2, aim=1.8),
        ratio(windows, "peer-cte"),
        ratio(windows, "echo", bound=0.33, aim=0.5),
        latency(windows, bound=3.0),
    ]
    return [figure for figure in found if figure is not None]


def ratio(windows: Sequence[Window], other: str, bound: float | None = None, aim: float | None = None) -> Figure | None:
    """Return the gateway's speed in parts of another's; None where they were not both measured in any round."""
    ours = {window.round: window.load.rate for window in _select(windows, "easypay", RATIO_CONNECTIONS)}
    theirs = {window.round: window.load.rate for window in _select(windows, other, RATIO_CONNECTIONS)}
    ratios = [ours[round] / theirs[round] for round in ours.keys() & theirs.keys()]
    if not ratios:
        return None
    name = f"easypay/{other}, requests/s at {RATIO_CONNECTIONS} connections"
    return Figure(name, median(ratios), min(ratios), max(ratios), bound, aim)


def latency(windows: Sequence[Window], bound: float | None = None) -> Figure | None:
    """Return the gateway's median latency at one connection; None where it was not measured."""
    times = [window.load.p50_ms for window in _select(windows, "easypay", LATENCY_CONNECTIONS)]
    if not times:
        return None
    name = f"easypay p50 at {LATENCY_CONNECTIONS} connection, ms"
    return Figure(name, median(times), min(times), max(times), bound, at_most=True)


def _select(windows: Iterable[Window], subject: str, connections: int) -> Iterable[Window]:
    return (window for window in windows if (window.subject, window.connections) == (subject, connections))


def _line(windows: list[Window]) -> Line:
    first = windows[0]
    groups = dict.fromkeys(group for window in windows for group in window.cpu)
    return Line(
        subject=first.subject,
        connections=first.connections,
        rate=median(window.load.rate for window in windows),
        p50_ms=median(window.load.p50_ms for window in windows),
        p99_ms=median(window.load.p99_ms for window in windows),
        cpu_s_per_1000={
            group: median(window.cpu.get(group, 0.0) / window.load.requests * 1000 for window in windows)
            for group in groups
        },
        wal_bytes_per_payment=_per_request([(window.wal_bytes, window.load.requests) for window in windows]),
        writes_per_payment=_per_request([(window.writes, window.load.requests) for window in windows]),
    )


def _per_request(pairs: list[tuple[int | None, int]]) -> float | None:
    shares = [amount / requests for amount, requests in pairs if amount is not None]
    return median(shares) if shares else None
