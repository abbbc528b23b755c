"""Requests a second, each trace a kind of traffic. Everything is drawn from the seed, or read from an access log."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

HOUR_S = 3600
DAY_S = 24 * HOUR_S
_STAMP = re.compile(r"\[(\d{2}/\w{3}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\]")


class Traces:
    """Traces from one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def daily_wave(self, days: int = 2, peak: float = 3500.0) -> list[float]:
        """Nights at an eighth of the peak, a steep morning, a dip after lunch, a peak in the evening; Poisson arrivals.

        The minute's mean wanders by some percent, as that of many shops does.
        """
        draw = random.Random(f"{self._seed} daily")
        wander = _wander(draw, part=0.05, memory_s=120)
        return [_poisson(draw, peak * _time_of_day(at) * wander()) for at in range(days * DAY_S)]

    def access_log(self, days: int = 2, peak: float = 3000.0) -> list[float]:
        """What access logs look like: a day's course, and visits whose lengths have a heavy tail.

        Superposed on-off sources with Pareto lengths give traffic that is bursty at every scale (Willinger, Taqqu,
        Sherman, Wilson, Self-Similarity Through High-Variability, IEEE/ACM Transactions on Networking 5:1, 1997;
        Crovella, Bestavros found the same of web traffic in the same volume).
        """
        draw = random.Random(f"{self._seed} visits")
        visits = [0.0] * (days * DAY_S + 1)
        rate_of_one, mean_visit_s = 4.0, 60.0
        for at in range(days * DAY_S):
            per_s = peak * _time_of_day(at) / (rate_of_one * mean_visit_s)
            for _ in range(int(_poisson(draw, per_s))):
                # Mean 60 s at a tail of 1.4: infinite variance.
                length = 60.0 * 0.4 / 1.4 * draw.paretovariate(1.4)
                visits[at] += rate_of_one
                visits[min(len(visits) - 1, at + 1 + int(length))] -= rate_of_one
        rates, level = [], 0.0
        for change in visits[: days * DAY_S]:
            level += change
            rates.append(_poisson(draw, max(0.0, level)))
        return rates

    def flash_sale(self, before: float = 500.0, during: float = 3000.0) -> list[float]:
        """A quiet hour, within ten seconds six times the load for a quarter of an hour, and back within ten minutes."""
        draw = random.Random(f"{self._seed} sale")
        rates = [before] * HOUR_S
        rates += [before + (during - before) * second / 10 for second in range(10)]
        rates += [during] * 900
        rates += [during + (before - during) * second / 600 for second in range(600)]
        rates += [before] * HOUR_S
        return [_poisson(draw, rate) for rate in rates]

    def all(self) -> dict[str, list[float]]:
        """Return every trace by its name."""
        return {
            "daily wave": self.daily_wave(),
            "access log (generated)": self.access_log(),
            "flash sale": self.flash_sale(),
        }


def recorded(lines: Iterable[str], peak: float) -> list[float]:
    """Return the requests of each second of an access log in the common or combined log format.

    The busiest minute is scaled to ``peak`` requests a second, so that the load is one that replicas are needed for.
    """
    counts: Counter[int] = Counter()
    for line in lines:
        if found := _STAMP.search(line):
            counts[int(datetime.strptime(found[1], "%d/%b/%Y:%H:%M:%S %z").timestamp())] += 1
    if not counts:
        raise ValueError("no line of the log has a time in the common log format")
    first, last = min(counts), max(counts)
    seconds = [float(counts[at]) for at in range(first, last + 1)]
    busiest = max(sum(seconds[start : start + 60]) / 60 for start in range(0, len(seconds), 60))
    return [rate * peak / busiest for rate in seconds]


def _time_of_day(at: int) -> float:
    """Return the part of the peak at a second of the day."""
    hour = at % DAY_S / HOUR_S
    morning = 1 / (1 + math.exp(-(hour - 8.5) * 4))
    night = 1 / (1 + math.exp((hour - 22.5) * 2.5))
    lunch = 0.25 * math.exp(-((hour - 14) ** 2) / 1.5)
    evening = 0.3 * math.exp(-((hour - 19.5) ** 2) / 2)
    return 0.125 + 0.675 * min(morning, night) * (1 - lunch) + evening * night * 0.67


def _wander(draw: random.Random, part: float, memory_s: float) -> Callable[[], float]:
    """Return a factor around 1 that changes slowly: an autoregressive process of the first order."""
    keep = math.exp(-1 / memory_s)
    step = part * math.sqrt(1 - keep * keep)
    value = 0.0

    def following() -> float:
        nonlocal value
        value = keep * value + draw.gauss(0.0, step)
        return max(0.1, 1 + value)

    return following


def _poisson(draw: random.Random, mean: float) -> float:
    """Draw from a Poisson distribution; from the normal one where they can hardly be told apart."""
    if mean > 50:
        return max(0.0, round(draw.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        count += 1
        product *= draw.random()
    return float(count)
