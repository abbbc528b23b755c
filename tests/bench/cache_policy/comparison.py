"""Hit ratios of every policy on every trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.cache_policy.policies import POLICIES, Policy
from tests.bench.cache_policy.traces import KEYS, WARM_UP_USES, Traces

SIZES = (0.01, 0.05, 0.10, 0.30)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The part of uses that found their key, in a cache of ``size`` times the number of keys."""

    trace: str
    size: float
    policy: str
    hit_ratio: float


def compare(seed: int, say: Callable[[str], None]) -> list[Outcome]:
    """Run them all; half a minute."""
    outcomes = []
    for name, trace in Traces(seed).all().items():
        say(name)
        for size in SIZES:
            for policy, make in POLICIES.items():
                outcomes.append(Outcome(name, size, policy, hit_ratio(make(int(size * KEYS), trace), trace)))
    return outcomes


def hit_ratio(policy: Policy, trace: Sequence[str], warm_up_uses: int = WARM_UP_USES) -> float:
    """Return the part of the uses after the warm-up that hit."""
    use = policy.use
    for key in trace[:warm_up_uses]:
        use(key)
    return sum(map(use, trace[warm_up_uses:])) / (len(trace) - warm_up_uses)
