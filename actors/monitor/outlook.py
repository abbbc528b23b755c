"""Where it goes: trends, forecasts, and what should be done about it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from actors.monitor.advice import Advice, Adviser
from actors.monitor.forecast import STEP_S, ArrivalForecaster, Saturation, saturates_in_s
from actors.monitor.measures import Windows, scalar
from actors.monitor.rules import Rules
from actors.monitor.trend import Trend, trend
from actors.monitor.views import Forecast, Resource

SAMPLE_S = 10
"""Of windows of the same length, so that no two samples share what they were measured from."""
SAMPLES_MAX = 30
RESOURCES_MAX = 200

Samples = Mapping[str, Iterable[tuple[float, float]]]


class Outlook:
    """Look at each second's windows and keep what five minutes of them say."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._arrivals = ArrivalForecaster()
        self._adviser = Adviser(rules.advice)
        self._samples: defaultdict[str, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=SAMPLES_MAX))
        self._used: defaultdict[str, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=SAMPLES_MAX))
        self._rises: dict[str, Trend] = {}
        self.trends: tuple[Trend, ...] = ()
        self.resources: tuple[Resource, ...] = ()

    @property
    def advice(self) -> tuple[Advice, ...]:
        """Return what is advised."""
        return self._adviser.advice

    def look(self, windows: Windows, second: int) -> None:
        """Take one more second, of which this is the number."""
        self.resources = self._resources(windows)
        if self._rules.arrivals is not None and second % STEP_S == 0 and windows.span_s(STEP_S) == STEP_S:
            rate = scalar(self._rules.arrivals, windows, STEP_S)
            if rate is not None:
                self._arrivals.add(rate)
        if second % SAMPLE_S == 0 and windows.span_s(SAMPLE_S) == SAMPLE_S:
            self._sample(windows, float(second))
            self._adviser.look(windows)

    def forecast(self) -> Forecast:
        """Return what is to come."""
        first = min(self._saturations(), key=lambda each: each.in_s, default=None)
        if first is None:
            return Forecast(self._arrivals.forecast(), None, None)
        return Forecast(self._arrivals.forecast(), first.in_s, first.resource)

    def _resources(self, windows: Windows) -> tuple[Resource, ...]:
        rule = self._rules.capacity
        if rule is None:
            return ()
        read = sorted(rule.measure.read(windows, SAMPLE_S).items())[:RESOURCES_MAX]
        return tuple(
            Resource("/".join(value for _, value in labels), used, rule.threshold, rule.full_at)
            for labels, used in read
        )

    def _sample(self, windows: Windows, at: float) -> None:
        for figure in self._rules.trends:
            value = scalar(figure.measure, windows, SAMPLE_S)
            if value is not None:
                self._samples[figure.name].append((at, value))
        here = {each.resource for each in self.resources}
        for gone in [name for name in self._used if name not in here]:
            del self._used[gone]
        for resource in self.resources:
            self._used[resource.resource].append((at, resource.utilisation))
        self.trends = _trends(self._samples)
        self._rises = {each.metric: each for each in _trends(self._used)}

    def _saturations(self) -> Iterable[Saturation]:
        rule = self._rules.capacity
        now = self._arrivals.at(0)
        for name, used, _, full_at in self.resources:
            own = saturates_in_s(used, full_at, self._rises.get(name))
            if own is not None:
                yield Saturation(name, own)
            if rule is not None and name in rule.by_arrivals and 0 < used < full_at and now > 0:
                in_s = self._arrivals.reaches_in_s(now * full_at / used)
                if in_s is not None:
                    yield Saturation(name, in_s)


def _trends(samples: Samples) -> tuple[Trend, ...]:
    found = (trend(name, list(each)) for name, each in sorted(samples.items()))
    return tuple(each for each in found if each is not None)
