"""Three times what a processor can take, in virtual time: what is served, what is refused, and how soon."""

from __future__ import annotations

import pytest

from serve_app.admission.vegas import FixedLimit, Limit, VegasLimit
from serve_app.admission.work import Work
from tests.unit.admission.simulation import Source, World, gate_of, share

_SERVERS, _SERVICE_S = 100, 0.2
_KNEE = _SERVERS / _SERVICE_S
_UNTIL_S = 40.0
_FLOOD = Source("flood", Work.CREATING, 3 * _KNEE, _UNTIL_S)
_FINISHING = Source("flood", Work.FINISHING, 20, _UNTIL_S)
_MODEST = Source("modest", Work.CREATING, 50, _UNTIL_S)


def _vegas() -> Limit:
    return VegasLimit(initial=64, least=4, most=256)


@pytest.fixture(scope="module")
def world() -> World:
    """Return what two processes saw within 40 s, and the seconds after."""
    world = World(
        [gate_of(_vegas, seed=seed) for seed in (1, 2)],
        [_FLOOD, _FINISHING, _MODEST],
        servers=_SERVERS,
        service_s=_SERVICE_S,
    )
    world.run(_UNTIL_S + 5)
    return world


def test_the_processor_is_kept_busy(world: World) -> None:
    """At least 0.95 of what it can do is done."""
    done = sum(seen.goodput(5, _UNTIL_S) for seen in world.seen.values())
    assert done >= 0.95 * _KNEE


def test_work_that_finishes_payments_goes_first(world: World) -> None:
    """None of it is refused, and 99 % of it ends within half a second."""
    seen = world.seen[_FINISHING]
    assert (len(seen.refused_after), share(seen.latencies, 0.99) < 0.5) == (0, True)


def test_one_merchant_s_flood_does_not_turn_another_away(world: World) -> None:
    """Who holds less than his share gets all of it served."""
    seen = world.seen[_MODEST]
    assert len(seen.served_at) >= 0.99 * seen.offered
    assert share(seen.latencies, 0.99) < 0.6


def test_refusals_come_at_once(world: World) -> None:
    """99 of 100 when the request arrives, not after a wait in vain."""
    refused = world.seen[_FLOOD].refused_after
    assert len(refused) > 20_000
    assert share(refused, 0.99) == 0.0


def test_who_is_refused_is_told_to_come_back_when_there_may_be_room(world: World) -> None:
    """Spread over what it takes to serve those that were refused together, two seconds' worth of each second."""
    retry_in = world.seen[_FLOOD].retry_in
    assert 0.5 < share(retry_in, 0.5) < 4
    assert max(retry_in) <= 30


def test_the_load_s_end_leaves_nothing_behind(world: World) -> None:
    """Nothing waits and nothing is held."""
    assert world.at_processor == 0


def test_a_burst_that_passes_is_served() -> None:
    """Two hundred requests at once, where a hundred are served at a time, are not too many for an idle gateway."""
    burst = Source("burst", Work.CREATING, 20_000, 0.01)
    world = World([gate_of(_vegas)], [burst], servers=_SERVERS, service_s=_SERVICE_S)
    world.run(5)
    assert len(world.seen[burst].served_at) >= 0.95 * world.seen[burst].offered


def test_slow_requests_of_one_merchant_leave_the_others_their_places() -> None:
    """One sends requests of two seconds as fast as he can; most of another's 50 a second are served all the same.

    Not all: times of 0.2 and of 2 s in changing shares are taken for a queue now and then.
    """
    slow = Source("slow", Work.CREATING, 400, _UNTIL_S, service_s=2.0)
    world = World([gate_of(_vegas)], [slow, _MODEST], servers=_SERVERS, service_s=_SERVICE_S)
    world.run(_UNTIL_S)
    seen = world.seen[_MODEST]
    assert seen.goodput(5, _UNTIL_S) >= 0.75 * 50


def test_a_number_of_workers_that_was_set_is_kept() -> None:
    """Ten workers at 200 ms are 50 a second, however many servers the processor has."""
    world = World([gate_of(lambda: FixedLimit(10))], [_FLOOD], servers=_SERVERS, service_s=_SERVICE_S)
    world.run(10)
    assert world.at_processor == 10
    assert world.seen[_FLOOD].goodput(2, 10) == pytest.approx(50, rel=0.1)
