"""Which way a figure goes, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

SAMPLES_MIN = 8
CONFIDENCE_MIN = 0.95
CHANGE_MIN = 0.05
"""Of the median, over all samples: less is steady, however sure it is."""


class Trend(NamedTuple):
    """``direction`` is rising, falling or steady; ``confidence``, from 0 to 1, is that of the slope not being zero."""

    metric: str
    direction: str
    slope_per_minute: float
    confidence: float


def trend(metric: str, samples: Sequence[tuple[float, float]]) -> Trend | None:
    """Return the trend of samples of time in seconds and value, None where there are too few.

    The samples must not overlap in what they were measured from, or the confidence would be too high. A single spike,
    or several, do not move the slope. Costs the square of their number.

    Source: slope by Theil and Sen (Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63, 1968);
    confidence by the test of Mann (Econometrica 13, 1945) and Kendall, with correction for ties and continuity.
    """
    count = len(samples)
    if count < SAMPLES_MIN:
        return None
    pairs = [(samples[i], samples[j]) for i in range(count) for j in range(i + 1, count)]
    slope = median((later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairs)
    s = sum((later[1] > earlier[1]) - (later[1] < earlier[1]) for earlier, later in pairs)
    confidence = _confidence(s, [value for _, value in samples])
    change = abs(slope) * (samples[-1][0] - samples[0][0])
    is_small = change <= CHANGE_MIN * abs(median(value for _, value in samples))
    if confidence < CONFIDENCE_MIN or is_small or slope == 0:
        direction = "steady"
    else:
        direction = "rising" if slope > 0 else "falling"
    return Trend(metric, direction, slope * 60, confidence)


def _confidence(s: int, values: Sequence[float]) -> float:
    count = len(values)
    ties = sum(same * (same - 1) * (2 * same + 5) for same in Counter(values).values())
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    if variance <= 0 or s == 0:
        return 0.0
    return math.erf((abs(s) - 1) / math.sqrt(variance) / math.sqrt(2))
