"""Journeys drawn from tokens and a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.journey import SLOW_S, Ending, Itinerary, Journey
from serve_app.processors.protocol import ProcessorRequest

MakeRequest = Callable[..., ProcessorRequest]


def itinerary(*, latency_ms: float = 0, jitter_ms: float = 0, failure_rate: float = 0, seed: int = 7) -> Itinerary:
    return Itinerary(latency_ms=latency_ms, jitter_ms=jitter_ms, failure_rate=failure_rate, seed=seed)


def test_latency_is_split_around_the_charge(make_request: MakeRequest) -> None:
    """Half of the delay lies before the charge and half after it."""
    assert itinerary(latency_ms=200).draw(make_request()) == Journey(before_s=0.1, after_s=0.1)


def test_jitter_stays_within_its_bounds(make_request: MakeRequest) -> None:
    """The whole delay is the latency give or take the jitter, and never negative."""
    plan = itinerary(latency_ms=10, jitter_ms=30)
    delays_s = [journey.before_s + journey.after_s for journey in (plan.draw(make_request()) for _ in range(500))]
    assert min(delays_s) == 0.0
    assert 0.02 < max(delays_s) <= 0.04


@pytest.mark.parametrize(
    ("token", "performs", "ending"),
    [
        ("tok_visa", True, Ending.ANSWER),
        ("tok_declined", True, Ending.ANSWER),
        ("tok_processor_error", False, Ending.NOT_DONE),
        ("tok_timeout_charged", True, Ending.SILENCE),
        ("tok_timeout_not_charged", False, Ending.SILENCE),
        ("tok_unheard_of", True, Ending.ANSWER),
    ],
)
def test_token_steers_its_authorization(make_request: MakeRequest, token: str, performs: bool, ending: Ending) -> None:
    """A token decides whether its authorization is performed and what is heard of it."""
    journey = itinerary().draw(make_request(token=token))
    assert (journey.performs, journey.ending) == (performs, ending)


def test_slow_token_takes_two_seconds(make_request: MakeRequest) -> None:
    """The slow card adds two seconds to the ordinary delay."""
    journey = itinerary(latency_ms=100).draw(make_request(token="tok_slow"))
    assert journey.before_s + journey.after_s == pytest.approx(SLOW_S + 0.1)


@pytest.mark.parametrize("kind", [AttemptKind.CAPTURE, AttemptKind.VOID, AttemptKind.REFUND])
def test_token_does_not_steer_what_follows(make_request: MakeRequest, kind: AttemptKind) -> None:
    """Capture, void and refund go the ordinary way whatever the card."""
    journey = itinerary().draw(make_request(kind, token="tok_timeout_charged"))
    assert journey == Journey(0.0, 0.0)


def test_same_seed_draws_the_same_journeys(make_request: MakeRequest) -> None:
    """Two itineraries of one seed agree on latency and faults; another seed does not."""

    def drawn(seed: int) -> list[Journey]:
        plan = itinerary(latency_ms=50, jitter_ms=20, failure_rate=0.5, seed=seed)
        return [plan.draw(make_request()) for _ in range(50)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_failure_rate_is_met_with_every_fault(make_request: MakeRequest) -> None:
    """About the given share of operations goes wrong, in each of the six ways."""
    plan = itinerary(failure_rate=0.3)
    faults = [journey for journey in (plan.draw(make_request()) for _ in range(2_000)) if journey != Journey(0, 0)]
    assert 500 < len(faults) < 700
    assert len(set(faults)) == 6


@pytest.mark.parametrize("wrong", [{"latency_ms": -1}, {"jitter_ms": -1}, {"failure_rate": 1.1}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """Negative delays and impossible rates do not make an itinerary."""
    with pytest.raises(ValueError, match="must"):
        itinerary(**wrong)
