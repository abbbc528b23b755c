"""Medians, ratios and targets."""

from __future__ import annotations

import pytest

from tests.bench.load import Load
from tests.bench.summary import figures, idle_share, lines
from tests.bench.window import Window


def window(subject: str, rate: float, turn: int = 0, connections: int = 64, p50_ms: float = 1.0) -> Window:
    """Return a window of one second."""
    load = Load(round(rate), 1.0, p50_ms, 9.0, 0, 0.0)
    return Window(subject, connections, turn, load, {"postgresql": 0.5, subject: 0.4, "ray": 0.1}, 1000, 200)


def test_ratio_is_taken_round_by_round() -> None:
    """A slow round of the machine hits both subjects and leaves the ratio as it is."""
    slow_second_round = [
        window("peer", 1000),
        window("easypay", 2000),
        window("peer", 100, 1),
        window("easypay", 200, 1),
    ]
    (ratio,) = figures(slow_second_round)
    assert (ratio.value, ratio.low, ratio.high, ratio.met) == (2.0, 2.0, 2.0, True)


@pytest.mark.parametrize(("rate", "met"), [(1200, True), (1199, False)])
def test_ratio_must_reach_its_bound(rate: float, met: bool) -> None:
    """The bound itself is enough."""
    assert [figure.met for figure in figures([window("peer", 1000), window("easypay", rate)])] == [met]


def test_the_second_peer_has_no_bound() -> None:
    """It is shown and decides nothing."""
    assert [figure.met for figure in figures([window("peer-cte", 1000), window("easypay", 1)])] == [None]


@pytest.mark.parametrize(("p50_ms", "met"), [(2.9, True), (3.0, False)])
def test_latency_stays_under_its_bound(p50_ms: float, met: bool) -> None:
    """The median at one connection must lie below three milliseconds."""
    assert [figure.met for figure in figures([window("easypay", 9, connections=1, p50_ms=p50_ms)])] == [met]


def test_what_was_not_measured_has_no_figure() -> None:
    """Without the gateway there is nothing to compare."""
    assert figures([window("peer", 1000), window("echo", 1000)]) == []


def test_line_holds_medians_per_request() -> None:
    """CPU is given per 1,000 requests, the log per payment."""
    (line,) = lines([window("peer", rate, turn) for turn, rate in enumerate((100, 200, 1000))])
    assert (line.rate, line.wal_bytes_per_payment, line.writes_per_payment) == (200, 5.0, 1.0)
    assert line.cpu_s_per_1000["postgresql"] == 2.5


def test_idle_share_counts_what_the_peer_did_not_use() -> None:
    """A tenth of the time went to processes that serve the peer nothing."""
    assert idle_share([window("peer", 10), window("easypay", 10)]) == pytest.approx(0.1)
