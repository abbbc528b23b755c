"""What processors tell and what the gateway does by itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from serve_app.callbacks.service import CALLBACKS
from serve_app.expiry.authorizations import EXPIRED
from serve_app.ledger_checks.check import CHECKED, DISCREPANCIES
from serve_app.maintenance.service import HOLDERS, SECONDS, STEPS
from serve_app.ops.tally_metrics import Accounts, Counter, counter_families
from serve_app.retention.keys import DELETED

_COUNTERS = (
    Counter(CALLBACKS, "Callbacks of processors that were signed well.", ("processor", "outcome")),
    Counter(EXPIRED, "Authorizations that were too old to be captured.", ("outcome",)),
    Counter(DELETED, "Idempotency keys that were forgotten."),
    Counter(CHECKED, "Payments that were compared with their postings."),
    Counter(STEPS, "Steps of the database's maintenance.", ("action", "outcome")),
    Counter(SECONDS, "How long steps of the database's maintenance took.", ("action",)),
    Counter(HOLDERS, "Who kept dead rows for too long: sessions that were ended, others named.", ("kind", "action")),
    Counter(DISCREPANCIES, "Payments that were found to disagree with their postings: none ever should."),
)


def housekeeping_families(accounts: Accounts) -> Iterator[Metric]:
    """Yield the metrics of callbacks and of scheduled tasks."""
    yield from counter_families(_COUNTERS, accounts)
