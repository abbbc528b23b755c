"""The supervisor's decision: what is, against what should be."""

from __future__ import annotations

from actors.runtime.spec import ActorSpec
from cluster.supervisor import ActorGroup, Observed, Repair, reconcile, surplus


def test_what_is_as_it_should_be_is_left_alone() -> None:
    """No repair, and no more attention to actors that nobody asked for."""
    assert reconcile({"a": "1"}, Observed({"a": "1", "stranger": "9"})) == {}


def test_what_is_missing_is_created() -> None:
    """In the order in which actors are needed."""
    assert list(reconcile({"a": "1", "b": "1"}, Observed({})).items()) == [("a", Repair.CREATE), ("b", Repair.CREATE)]


def test_another_version_is_replaced() -> None:
    """A rolling deploy reaches the actors too."""
    assert reconcile({"a": "2", "b": "1"}, Observed({"a": "1", "b": "1"})) == {"a": Repair.REPLACE}


def test_members_of_a_group_that_are_not_needed_any_more_are_surplus() -> None:
    """And no other actor, whatever its name is."""
    group = ActorGroup("keeper", "shard-", lambda name: ActorSpec(name, object))
    running = ["keeper", "shard-0", "shard-1", "shard-10", "other"]
    assert surplus(group, ["shard-0", "shard-2"], running) == ["shard-1", "shard-10"]
    assert surplus(group, ["shard-0", "shard-1", "shard-10"], running) == []
