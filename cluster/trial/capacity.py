"""Load a gateway with test payments, a little more in each step, until it does not hold."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from cluster.trial.climb import Climb, Step
from cluster.trial.cpu import CpuMeter
from cluster.trial.load import Outcome, Tally, offer
from cluster.trial.wire import Pool, payment_request

DESCRIPTION = "easypay capacity"
_CONNECTIONS_MAX = 512
_WARM_UP_S = 2.0
_REST_S = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a gateway can do, and what it does now; None where that is not known."""

    steps: tuple[Step, ...]
    knee: Step | None
    is_bounded: bool
    machine_cores: int
    current_per_s: float | None

    @property
    def headroom(self) -> float | None:
        """How many times the load of now the knee is."""
        if self.knee is None or not self.current_per_s:
            return None
        return self.knee.goodput_per_s / self.current_per_s

    def as_json(self) -> dict[str, Any]:
        """Return what `easypay capacity --json` prints."""
        knee = self.knee
        return {
            "knee_per_s": knee.goodput_per_s if knee else None,
            "is_bounded": self.is_bounded,
            "cores_busy": knee.cores if knee else None,
            "payments_per_s_per_core": knee.per_core_s if knee else None,
            "p99_ms": knee.p99_ms if knee else None,
            "machine_cores": self.machine_cores,
            "current_per_s": self.current_per_s,
            "headroom": self.headroom,
            "steps": [asdict(step) for step in self.steps],
        }


async def find_knee(
    url: str,
    key: str,
    context: ssl.SSLContext,
    meter: CpuMeter,
    climb: Climb,
    *,
    step_s: float,
    on_step: Callable[[Step], None],
) -> None:
    """Offer each rate that the climb wants for ``step_s`` seconds and tell it what came of it."""
    pool = Pool(url, context, _CONNECTIONS_MAX)

    async def load(rate_per_s: float, seconds: float) -> Tally:
        return await offer(
            lambda: pool.ask(payment_request(url, key, DESCRIPTION)),
            rate_per_s,
            seconds,
            is_exhausted=lambda: pool.is_exhausted,
        )

    try:
        first = climb.next_rate_per_s
        assert first is not None
        await load(first, _WARM_UP_S)
        while (rate := climb.next_rate_per_s) is not None:
            # What the step before left behind is done, or the next would be held against it.
            await asyncio.sleep(_REST_S)
            await asyncio.to_thread(meter.lap_s)
            tally = await load(rate, step_s)
            step = as_step(rate, step_s, tally, await asyncio.to_thread(meter.lap_s))
            climb.tell(step)
            on_step(step)
    finally:
        pool.close()


def as_step(rate_per_s: float, step_s: float, tally: Tally, cpu_s: float) -> Step:
    """Return what a tally says of a rate; a 202 is neither done nor failed."""
    counts = tally.outcomes
    failed = sum(counts[each] for each in (Outcome.FAILED, Outcome.BROKEN, Outcome.UNANSWERED))
    return Step(
        offered_per_s=rate_per_s,
        goodput_per_s=tally.paid_in_time / step_s,
        p50_ms=_ms(tally, 0.5),
        p99_ms=_ms(tally, 0.99),
        refused=counts[Outcome.REFUSED] + counts[Outcome.UNSENT],
        failed=failed,
        cores=cpu_s / step_s,
    )


def _ms(tally: Tally, q: float) -> float:
    """Return a quantile, 0 where nothing was paid."""
    took_s = tally.took.quantile(q)
    return 0.0 if took_s is None else took_s * 1000
