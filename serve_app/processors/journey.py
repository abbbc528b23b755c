"""The way of one operation through the simulated processor, drawn before it sets out.

Pure: the token and a seeded generator decide; whoever walks the journey (the simulator in process, the
acquirer over HTTP) sleeps and answers. The delay is split in two halves around the charge, so that a process
killed at a random moment dies about as often before it as after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.protocol import ProcessorRequest
from serve_app.processors.tokens import Behaviour, lookup_token

SLOW_S = 2.0


class Ending(StrEnum):
    """Name what the caller gets to see of the operation."""

    ANSWER = "answer"
    NOT_DONE = "not_done"
    SILENCE = "silence"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Journey:
    """Say how long each half takes, whether the operation is done between them, and what is heard of it."""

    before_s: float
    after_s: float
    performs: bool = True
    ending: Ending = Ending.ANSWER


_FAULTS: tuple[tuple[bool, Ending], ...] = (
    (True, Ending.SILENCE),
    (False, Ending.SILENCE),
    (True, Ending.RESET),
    (False, Ending.RESET),
    (False, Ending.NOT_DONE),
    (True, Ending.ANSWER),  # slow
)

_BEHAVIOURS: dict[Behaviour, tuple[bool, Ending]] = {
    Behaviour.SLOW: (True, Ending.ANSWER),
    Behaviour.PROCESSOR_ERROR: (False, Ending.NOT_DONE),
    Behaviour.TIMEOUT_CHARGED: (True, Ending.SILENCE),
    Behaviour.TIMEOUT_NOT_CHARGED: (False, Ending.SILENCE),
}


class Itinerary:
    """Draw journeys: `latency_ms` plus or minus `jitter_ms`, and at `failure_rate` one of the faults, evenly.

    The same seed and the same order of operations draw the same journeys. A fault is drawn anew for a repeat,
    so an operation that was lost once can get through the next time.
    """

    def __init__(self, *, latency_ms: float, jitter_ms: float, failure_rate: float, seed: int) -> None:
        if latency_ms < 0 or jitter_ms < 0 or not 0 <= failure_rate <= 1:
            raise ValueError("latency_ms and jitter_ms must not be negative, failure_rate must lie in 0..1")
        self._latency_ms = latency_ms
        self._jitter_ms = jitter_ms
        self._failure_rate = failure_rate
        self._random = Random(seed)

    def draw(self, request: ProcessorRequest) -> Journey:
        """Return the next journey. A token that steers its authorization meets no other fault."""
        half_s = self._latency_s() / 2
        journey = Journey(before_s=half_s, after_s=half_s)
        behaviour = _behaviour(request)
        if behaviour is not Behaviour.ANSWER:
            return _divert(journey, *_BEHAVIOURS[behaviour])
        if self._failure_rate and self._random.random() < self._failure_rate:
            return _divert(journey, *self._random.choice(_FAULTS))
        return journey

    def _latency_s(self) -> float:
        if not self._jitter_ms:
            return self._latency_ms / 1000
        drawn_ms = self._latency_ms + self._random.uniform(-self._jitter_ms, self._jitter_ms)
        return max(0.0, drawn_ms) / 1000


def _behaviour(request: ProcessorRequest) -> Behaviour:
    card = lookup_token(request.token)
    if card is None or request.kind is not AttemptKind.AUTHORIZE:
        return Behaviour.ANSWER
    return card.behaviour


def _divert(journey: Journey, performs: bool, ending: Ending) -> Journey:
    slower_s = SLOW_S / 2 if ending is Ending.ANSWER else 0.0
    return replace(
        journey,
        before_s=journey.before_s + slower_s,
        after_s=journey.after_s + slower_s,
        performs=performs,
        ending=ending,
    )
