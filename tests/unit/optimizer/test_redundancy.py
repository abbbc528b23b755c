"""Which indexes should go."""

from __future__ import annotations

from typing import Any

import pytest

from actors.optimizer.catalog import Catalog, Index, TableName
from actors.optimizer.redundancy import WRITES_MIN, WRITES_PER_SCAN, Fault, burdens
from tests.unit.optimizer.makers import index, orders


def _faults(
    *indexes: Index, used: frozenset[str] = frozenset(), observed_s: float = 0, **more: Any
) -> dict[str, Fault]:
    catalog = Catalog.of([orders(indexes=indexes, **more)])
    found = burdens(catalog, used=used, observed_s=observed_s, observe_min_s=100)
    assert len({burden.index.oid for burden in found}) == len(found)
    return {burden.index.name: burden.fault for burden in found}


def test_of_two_equals_the_younger_goes() -> None:
    """And only one."""
    assert _faults(index(1, "region", name="old"), index(2, "region", name="new")) == {"new": Fault.DUPLICATE}


def test_of_two_equals_our_own_goes() -> None:
    """Whoever made the other one counts on its name."""
    ours = index(1, "region", name="easypay_opt_orders_region")
    assert _faults(ours, index(2, "region", name="theirs")) == {ours.name: Fault.DUPLICATE}


def test_a_prefix_is_redundant() -> None:
    """Unless another order, predicate, method or operator class makes it something else."""
    longer = index(1, "region", "total", name="longer")
    assert _faults(longer, index(2, "region", name="short")) == {"short": Fault.REDUNDANT}
    for other in (
        index(2, "total", name="short"),
        index(2, "region DESC", name="short"),
        index(2, "region", name="short", predicate="paid"),
        index(2, "region", name="short", method="hash"),
        index(2, "region", name="short", special="1:text_pattern_ops:100"),
        index(2, "region", name="short", include=("paid",)),
    ):
        assert _faults(longer, other) == {}


@pytest.mark.parametrize("guard", ["constrains", "unique"])
def test_what_a_rule_stands_on_stays(guard: str) -> None:
    """However useless its reads are; it makes others superfluous all the same."""
    keeper = index(2, "region", name="keeper", **{guard: True})
    assert _faults(index(1, "region", name="plain"), keeper) == {"plain": Fault.DUPLICATE}
    alone = _faults(keeper, observed_s=1000, writes=10**9)
    assert alone == {}


def test_what_is_not_read_is_unused_once_it_was_watched_long_enough() -> None:
    """And written often enough."""
    unread = index(1, "region", name="unread")
    assert _faults(unread, observed_s=99, writes=10**9) == {}
    assert _faults(unread, observed_s=100, writes=WRITES_MIN - 1) == {}
    assert _faults(unread, observed_s=100, writes=WRITES_MIN) == {"unread": Fault.UNUSED}
    rarely = index(1, "region", name="rarely", scans=2)
    assert _faults(rarely, observed_s=100, writes=2 * WRITES_PER_SCAN + 1) == {"rarely": Fault.HARMFUL}
    assert _faults(rarely, observed_s=100, writes=2 * WRITES_PER_SCAN - 1) == {}


def test_what_a_plan_uses_or_a_foreign_key_looks_at_is_not_unused() -> None:
    """A rare delete of what it points to would read the whole table."""
    unread = index(1, "region", name="unread")
    assert _faults(unread, observed_s=100, writes=10**9, used=frozenset({"unread"})) == {}
    regions = frozenset({("region", TableName("public", "regions"))})
    assert _faults(unread, observed_s=100, writes=10**9, references=regions) == {}


def test_who_takes_over_from_a_duplicate_is_not_unused() -> None:
    """Its twin was read in its place so far."""
    found = _faults(index(1, "region", name="old"), index(2, "region", name="new"), observed_s=100, writes=10**9)
    assert found == {"new": Fault.DUPLICATE}


def test_an_invalid_one_goes_and_serves_nobody() -> None:
    """A valid twin of it stays."""
    assert _faults(index(1, "region", name="broken", valid=False), index(2, "region", name="whole")) == {
        "broken": Fault.INVALID
    }
