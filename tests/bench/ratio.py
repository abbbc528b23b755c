"""How much more one of two things costs than the other, from pairs of windows measured one after the other."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_RESAMPLES = 4000
_PAIRS_MIN = 2


@dataclass(frozen=True, slots=True)
class Ratio:
    """Hold a ratio and its interval of 95 %."""

    ratio: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"x{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"


def paired_ratio(pairs: Sequence[tuple[float, float]], *, seed: int = 1) -> Ratio:
    """Return the ratio of the first to the second of each pair, as the geometric mean over all pairs.

    What changes from pair to pair, such as the machine's speed, is in both of one and drops out. The interval says
    nothing of what differs between runs of the benchmark.

    Source: the percentile bootstrap, Efron and Tibshirani, An Introduction to the Bootstrap (1993), 13.3; ratios are
    resampled as logarithms, pair by pair.
    """
    assert len(pairs) >= _PAIRS_MIN, "an interval needs more than one pair"
    logs = [math.log(first / second) for first, second in pairs]
    draw = random.Random(seed)
    means = sorted(statistics.fmean(draw.choices(logs, k=len(logs))) for _ in range(_RESAMPLES))
    low, high = means[round(0.025 * _RESAMPLES)], means[round(0.975 * _RESAMPLES) - 1]
    return Ratio(math.exp(statistics.fmean(logs)), math.exp(low), math.exp(high), len(pairs))
