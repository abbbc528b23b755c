"""What callbacks and scheduled tasks have counted, in any process, is scraped from each."""

from __future__ import annotations

from actors.runtime.tallies import Counters
from serve_app.callbacks.service import CALLBACKS
from serve_app.ledger_checks.check import DISCREPANCIES
from serve_app.ops.exposition import exposition
from serve_app.ops.housekeeping_metrics import housekeeping_families


def test_counters_add_up_by_their_labels() -> None:
    """And what was read does not change afterwards."""
    counters = Counters()
    counters.add(CALLBACKS, "live", "concluded")
    read = counters.tallies()
    counters.add(CALLBACKS, "live", "concluded", by=4)
    counters.add(CALLBACKS, "live", "repeated")
    assert list(read.values()) == [1]
    assert list(counters.tallies().values()) == [5, 1]


def test_each_is_shown_with_its_labels() -> None:
    """A discrepancy is a number to alert on."""
    counters = Counters()
    counters.add(CALLBACKS, "acquirer", "concluded", by=3)
    counters.add(DISCREPANCIES)
    lines = exposition(housekeeping_families({"cache-0": counters.tallies()})).decode().splitlines()
    assert 'easypay_processor_callbacks_total{outcome="concluded",processor="acquirer",shard="cache-0"} 3.0' in lines
    assert 'easypay_ledger_discrepancies_total{shard="cache-0"} 1.0' in lines
