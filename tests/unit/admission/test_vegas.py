"""A limit that is found out."""

from __future__ import annotations

from random import Random

import pytest

from serve_app.admission.vegas import FixedLimit, VegasLimit

_LEAST, _MOST = 4, 256


def _limit(initial: int = 64) -> VegasLimit:
    return VegasLimit(initial=initial, least=_LEAST, most=_MOST)


def _serve(
    limit: VegasLimit, *, places: int, seconds: float, start: float = 0.0, jitter: float = 0.0, late_s: float = 0.0
) -> list[int]:
    """Keep as many requests at a server of 0.2 s with so many places as the limit allows; return the limits."""
    draw, now, limits = Random(3), start, []
    while now < start + seconds:
        in_flight = limit.current
        took_s = 0.2 * max(1.0, in_flight / places) * draw.lognormvariate(0, jitter) + late_s
        now += 0.2 * max(1.0, in_flight / places) / in_flight
        limit.sample("charge", took_s, in_flight, now, late_s=late_s)
        limits.append(limit.current)
    return limits


def _mean(values: list[int]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("places", [10, 50, 150])
def test_it_finds_the_places_of_a_server(places: int, jitter: float) -> None:
    """From above and from below, whatever the jitter: all places are used, and the queue behind them is short."""
    limit = _limit()
    _serve(limit, places=places, seconds=60, jitter=jitter)
    found = _mean(_serve(limit, places=places, seconds=60, start=60, jitter=jitter))
    assert 0.9 * places <= found <= 1.6 * places + 8


def test_it_does_not_creep_up_under_a_load_without_end() -> None:
    """After an hour at the limit it is where it was after a minute."""
    limit = _limit()
    early = _mean(_serve(limit, places=50, seconds=60)[-2000:])
    _serve(limit, places=50, seconds=3600, start=60)
    assert _mean(_serve(limit, places=50, seconds=60, start=3660)) < 1.2 * early


def test_it_follows_a_server_that_loses_and_regains_places() -> None:
    """Within half a minute each way."""
    limit = _limit()
    _serve(limit, places=100, seconds=30)
    _serve(limit, places=20, seconds=30, start=30)
    assert _mean(_serve(limit, places=20, seconds=10, start=60)) < 40
    _serve(limit, places=100, seconds=30, start=70)
    assert _mean(_serve(limit, places=100, seconds=10, start=100)) > 85


def test_it_follows_a_server_that_becomes_slower_for_good() -> None:
    """Twice the time is not taken for a queue longer than until the next probes."""
    limit = _limit()
    _serve(limit, places=100, seconds=30)
    now = 30.0
    while now < 90:
        now += 0.4 / limit.current
        limit.sample("charge", 0.4, limit.current, now)
    assert limit.current > 100


def test_what_the_loop_is_late_is_not_taken_for_a_queue() -> None:
    """A process that is busy itself lets no fewer requests to the processor for that."""
    limit = _limit()
    _serve(limit, places=200, seconds=30)
    before = limit.current
    _serve(limit, places=200, seconds=10, start=30, late_s=0.3)
    assert limit.current >= 0.8 * before


def test_a_limit_that_is_not_used_does_not_rise() -> None:
    """One request at a time says nothing of two hundred."""
    limit = _limit()
    for number in range(5000):
        limit.sample("charge", 0.2, 1, number * 0.2)
    assert limit.current <= 64


def test_kinds_of_work_do_not_pass_for_each_others_queues() -> None:
    """Reads of a millisecond beside charges of 200: neither makes the other look slow."""
    limit = _limit(16)
    now = 0.0
    for number in range(60_000):
        now += 0.001
        kind, took_s = (("read", 0.001), ("charge", 0.2))[number % 10 == 0]
        limit.sample(kind, took_s, limit.current, now)
    assert limit.current > 200


def test_it_stays_between_its_bounds() -> None:
    """Times of any kind, also none, move it no further."""
    draw, limit, now = Random(5), _limit(), 0.0
    for _ in range(20_000):
        now += draw.uniform(0, 0.01)
        limit.sample(draw.choice("ab"), draw.choice([0.0, 1e-9, 0.1, 100.0]), draw.randrange(1, 300), now)
        assert _LEAST <= limit.current <= _MOST


def test_a_fixed_limit_learns_nothing() -> None:
    """It is what the operator said."""
    limit = FixedLimit(10)
    for number in range(100):
        limit.sample("charge", 5.0, 10, float(number))
    assert limit.current == 10
