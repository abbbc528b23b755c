"""Expressions of PromQL that several panels are made of.

`$__rate_interval` is Grafana's: four scrapes, or the distance of two points where that is more.
"""

from __future__ import annotations

from cluster.dashboards.panel import Query

RATE_INTERVAL = "$__rate_interval"


def rate(counter: str, *by: str, where: str = "") -> str:
    """Return the sum of a counter's rate, by labels; rates first, for a process that starts again begins at 0."""
    selector = f"{counter}{{{where}}}" if where else counter
    return f"sum{_by(*by)} (rate({selector}[{RATE_INTERVAL}]))"


def ratio(part: str, whole: str) -> str:
    """Return a part of a whole: 0 while there is none of the part, and nothing while there is no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def seldom(expression: str) -> str:
    """Return the expression, and 0 where it has nothing to say while the gateway is scraped.

    So a panel of what seldom happens shows that it did not, and shows nothing where nobody looks.
    """
    return f'{expression} or on () 0 * max(up{{job="easypay"}})'


def quantile(q: float, histogram: str, *by: str) -> str:
    """Return a quantile of a histogram in the interval, by labels."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', 'le', *by)})"


def mean(histogram: str, *by: str) -> str:
    """Return the mean of a histogram in the interval, by labels."""
    return f"{rate(f'{histogram}_sum', *by)} / ({rate(f'{histogram}_count', *by)} > 0)"


def quantiles(histogram: str, *by: str, name: str = "") -> tuple[Query, ...]:
    """Return the median and the tail of a histogram."""
    return tuple(
        Query(quantile(q, histogram, *by), f"p{100 * q:g}{f' {name}' if name else ''}") for q in (0.5, 0.95, 0.99)
    )


def _by(*labels: str) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
