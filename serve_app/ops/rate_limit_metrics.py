"""Rate limits for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from serve_app.middleware.rate_limit import LEASES, REQUESTS, RETURNED, STATIC_DECISIONS
from serve_app.ops.tally_metrics import Accounts, Counter, counter_families

_COUNTERS = (
    Counter(
        REQUESTS,
        "Requests that a limit has counted: one that passes two limits is in both, one that is refused only in the one"
        " that refused it.",
        ("limit", "outcome"),
    ),
    Counter(
        STATIC_DECISIONS,
        "Permits that a process gave or refused by its static share, since the key's shard could not say.",
    ),
    Counter(LEASES, "Leases of permits that processes asked shards for, one for each key.", ("outcome",)),
    Counter(RETURNED, "Permits that processes gave back unspent when they ended."),
)


def rate_limit_families(accounts: Accounts) -> Iterator[Metric]:
    """Yield the metrics of rate limits."""
    yield from counter_families(_COUNTERS, accounts)
