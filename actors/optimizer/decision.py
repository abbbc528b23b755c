"""Decides by paired measures whether an index stays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

ROUNDS_MIN = 3
_LEAST_MS = 0.001

# Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom. Source: any table of the distribution.
_T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much time fell, as a share of the time before.

    ``low`` and ``high`` hold the typical gain of one measure in 95 of 100 cases; `share` is that of all together.
    """

    before_ms: float
    after_ms: float
    low: float
    high: float

    @property
    def share(self) -> float:
        """The gain itself; negative: it became slower."""
        return 1 - self.after_ms / self.before_ms if self.before_ms > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an index must give, and what it may cost."""

    gain_min: float = 0.05
    """The least gain of the workload, beyond noise."""
    statement_loss_max: float = 0.10
    """By how much a single statement may become slower, beyond noise."""
    write_loss_max: float = 0.10
    """By how much a write to the table may become slower."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it stays, and why."""

    keeps: bool
    reason: str


def paired_gain(before_ms: Sequence[float], after_ms: Sequence[float]) -> Gain:
    """Compare measures of the same work, in the same order.

    The interval is that of the mean of the logarithms of the ratios: what disturbs a measure makes it some times as
    long, so that one disturbed pair of few would drown a difference of times, not one of ratios. Source: Jain, The Art
    of Computer Systems Performance Analysis (1991), 13.4.1 (paired observations) and 12.7 (ratios).
    """
    assert len(before_ms) == len(after_ms) >= ROUNDS_MIN, "each measure before has its measure after"
    ratios = [
        math.log(max(other, _LEAST_MS) / max(one, _LEAST_MS)) for one, other in zip(before_ms, after_ms, strict=True)
    ]
    mean = fmean(ratios)
    reach = _t95(len(ratios) - 1) * stdev(ratios) / math.sqrt(len(ratios))
    return Gain(fmean(before_ms), fmean(after_ms), 1 - math.exp(mean + reach), 1 - math.exp(mean - reach))


def judge(workload: Gain, statements: Sequence[Gain], write_loss: float, bounds: Bounds) -> Verdict:
    """Say whether an index stays.

    ``workload`` is of all statements together, weighted by their calls; ``write_loss`` is the share by which a write
    to the table becomes slower.
    """
    if write_loss > bounds.write_loss_max:
        return Verdict(False, f"writes would be {write_loss:.1%} slower, more than {bounds.write_loss_max:.0%}")
    if min(workload.low, workload.share) < bounds.gain_min:
        return Verdict(False, f"a gain of {workload.share:.1%} (at least {workload.low:.1%}) is not beyond noise")
    slower = [gain for gain in statements if gain.high < -bounds.statement_loss_max]
    if slower:
        worst = min(gain.share for gain in slower)
        return Verdict(False, f"a statement becomes {-worst:.1%} slower")
    return Verdict(True, f"the workload takes {workload.share:.1%} less (at least {workload.low:.1%})")


def _t95(degrees: int) -> float:
    return _T_95[min(degrees, len(_T_95)) - 1]
