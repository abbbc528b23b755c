"""Counters of all processes together, for Prometheus.

Each process tells shards of the cache what it has counted, so whichever replica is scraped shows what all of them have
told, a moment ago: a replica that has ended stays in it. `shard` is who was told. A shard that starts again begins at
0, which `rate` and `increase` take for a reset: sums over `shard` must be taken of rates. While a shard does not answer
its series are missing. Without a cache there is nobody to tell: the replica that answers shows what it has counted by
itself, and its name stands for the shard's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric

from actors.runtime.tallies import Tallies

Accounts = Mapping[str, Tallies]
"""What each shard was told, by its name."""


class Counter(NamedTuple):
    """A counter for Prometheus: ``name`` is that of its series, ``labels`` are named in the order of their values."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


def counter_families(counters: Iterable[Counter], accounts: Accounts) -> Iterator[Metric]:
    """Yield a family for each counter with what the accounts have of it."""
    for counter in counters:
        family = CounterMetricFamily(f"easypay_{counter.name}", counter.text, labels=[*counter.labels, "shard"])
        for shard, tallies in accounts.items():
            for series, count in tallies.items():
                if series.name == counter.name:
                    family.add_metric([*series.labels, shard], count)
        yield family
