"""The supervisor's decision: what is, against what should be."""

from __future__ import annotations

from cluster.supervisor import Observed, Repair, reconcile


def test_what_is_as_it_should_be_is_left_alone() -> None:
    """No repair, and no more attention to actors that nobody asked for."""
    assert reconcile({"a": "1"}, Observed({"a": "1", "stranger": "9"})) == {}


def test_what_is_missing_is_created() -> None:
    """In the order in which actors are needed."""
    assert list(reconcile({"a": "1", "b": "1"}, Observed({})).items()) == [("a", Repair.CREATE), ("b", Repair.CREATE)]


def test_another_version_is_replaced() -> None:
    """A rolling deploy reaches the actors too."""
    assert reconcile({"a": "2", "b": "1"}, Observed({"a": "1", "b": "1"})) == {"a": Repair.REPLACE}
