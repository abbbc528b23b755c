"""The budget of connections, told the time."""

from __future__ import annotations

import pickle

import pytest

from actors.pool.budget import HOLDER_MAX, SILENT_S, ConnectionBudget
from actors.pool.messages import Enforcement, Grant, Renewed, Wait

TTL_S = 5.0


def make(total: int = 10, *, recovered: bool = True, min_per_holder: int = 1) -> ConnectionBudget:
    budget = ConnectionBudget(total, name="gate/ab12", started_at=0.0, min_per_holder=min_per_holder)
    if recovered:
        budget.end_recovery()
    return budget


def grant(budget: ConnectionBudget, holder: str, want: int, now: float = 0.0) -> Grant:
    answer = budget.request(holder, want, now)
    assert isinstance(answer, Grant), answer
    return answer


def renew(budget: ConnectionBudget, lease_id: str, holder: str, size: int, want: int, now: float) -> int | None:
    """Return the size, None where the lease is lost."""
    renewed = budget.renew(lease_id, holder, size, want, now)
    return renewed.size if renewed is not None else None


def sizes(budget: ConnectionBudget, now: float = 0.0) -> dict[str, int]:
    return {holder: size for _, holder, size, _ in budget.snapshot(now).leases}


def test_a_holder_gets_what_it_wants_while_there_is_enough() -> None:
    """And the rest stays free."""
    budget = make()
    assert grant(budget, "a", 4) == Grant("gate/ab12/1/a", 4, TTL_S)
    assert budget.free == 6


def test_a_grant_never_passes_what_is_free() -> None:
    """The last one gets less than it wants."""
    budget = make()
    grant(budget, "a", 4)
    assert grant(budget, "b", 20).size == 6
    assert budget.free == 0


def test_a_repeated_request_is_the_same_lease() -> None:
    """An answer that was lost on the way costs nothing."""
    budget = make()
    assert grant(budget, "a", 4) == grant(budget, "a", 4, now=1)
    assert budget.free == 6


def test_nothing_free_is_a_wait() -> None:
    """The caller is told when to ask again."""
    budget = make()
    grant(budget, "a", 10)
    answer = budget.request("b", 1, 0.0)
    assert answer == Wait("every connection is leased", 0.1)


def test_less_than_the_minimum_is_not_granted() -> None:
    """A pool that is too small to work is no use."""
    budget = make(min_per_holder=3)
    grant(budget, "a", 8)
    assert isinstance(budget.request("b", 5, 0.0), Wait)


def test_a_waiting_holder_is_served_by_shrinking_the_others() -> None:
    """At its renewal a holder comes down to the fair part, and only what it has given up is granted."""
    budget = make()
    lease = grant(budget, "a", 10)
    budget.request("b", 10, 0.0)
    assert renew(budget, lease.lease_id, "a", 10, 10, 1.0) == 5
    assert isinstance(budget.request("b", 10, 1.1), Wait), "a still holds ten"
    budget.renew(lease.lease_id, "a", 5, 10, 2.0)
    assert grant(budget, "b", 10, 2.1).size == 5


def test_a_holder_gets_its_wish_back_when_nobody_waits() -> None:
    """A waiter that went away frees its part."""
    budget = make()
    lease = grant(budget, "a", 10)
    budget.request("b", 10, 0.0)
    assert renew(budget, lease.lease_id, "a", 10, 10, 1.0) == 5
    budget.renew(lease.lease_id, "a", 5, 10, 4.0)
    assert renew(budget, lease.lease_id, "a", 5, 10, 0.0 + TTL_S) == 10


def test_a_holder_may_want_less() -> None:
    """It is given less from its next renewal on, never less than the minimum."""
    budget = make(min_per_holder=2)
    lease = grant(budget, "a", 8)
    assert renew(budget, lease.lease_id, "a", 8, 1, 1.0) == 2
    assert budget.free == 2, "until it reports that it has come down"
    budget.renew(lease.lease_id, "a", 2, 1, 2.0)
    assert budget.free == 8


def test_a_renewal_of_an_unknown_lease_is_lost() -> None:
    """After the recovery nobody is believed."""
    assert renew(make(), "gate/old/1/x", "x", 3, 3, 0.0) is None


def test_a_released_lease_is_free_at_once() -> None:
    """Its holder has closed its connections. Again changes nothing."""
    budget = make()
    lease = grant(budget, "a", 10)
    budget.release(lease.lease_id)
    budget.release(lease.lease_id)
    assert budget.free == 10
    assert grant(budget, "a", 1).lease_id == "gate/ab12/2/a", "ids are never used again"


def test_what_ran_out_counts_until_it_was_enforced() -> None:
    """Its holder may live and hold the connections."""
    budget = make()
    lease = grant(budget, "a", 10)
    assert budget.expire(TTL_S - 0.1) == []
    (due,) = budget.expire(TTL_S)
    assert due == Enforcement(lease.lease_id)
    assert budget.free == 0
    assert isinstance(budget.request("b", 5, TTL_S), Wait)
    assert budget.expire(TTL_S + 1) == [due], "until it is done"
    budget.enforced(due)
    budget.enforced(due)
    assert budget.free == 10
    assert budget.expire(TTL_S + 2) == []


def test_what_ran_out_while_it_shrank_counts_whole() -> None:
    """Its holder had not reported that it came down."""
    budget = make()
    lease = grant(budget, "a", 10)
    budget.request("b", 10, 0.0)
    assert renew(budget, lease.lease_id, "a", 10, 10, 1.0) == 5
    budget.expire(1.0 + TTL_S)
    assert (budget.free, budget.snapshot(1.0 + TTL_S).enforcing) == (0, 10)


def test_a_renewal_keeps_a_lease() -> None:
    """Each one is good for a term."""
    budget = make()
    lease = grant(budget, "a", 3)
    for now in (4.0, 8.0, 12.0):
        assert renew(budget, lease.lease_id, "a", 3, 3, now) == 3
        assert budget.expire(now) == []


def test_a_late_renewal_saves_a_lease_that_nobody_has_ended() -> None:
    """As long as it still counts, nobody else can have been given its connections."""
    budget = make()
    lease = grant(budget, "a", 3)
    assert renew(budget, lease.lease_id, "a", 3, 3, TTL_S + 1) == 3
    assert budget.expire(TTL_S + 1) == []


def test_a_lease_that_is_being_ended_is_lost_to_its_holder() -> None:
    """It asks anew and gets a lease of another name."""
    budget = make()
    lease = grant(budget, "a", 3)
    budget.expire(TTL_S)
    assert renew(budget, lease.lease_id, "a", 3, 3, TTL_S) is None
    assert grant(budget, "a", 3, TTL_S).lease_id != lease.lease_id


def test_a_manager_that_restarted_grants_nothing_new() -> None:
    """Leases that it does not know of may be out."""
    budget = make(recovered=False)
    answer = budget.request("a", 3, 1.0)
    assert answer == Wait("the manager has just started", 1.0)
    assert budget.snapshot(1.0).recovering


def test_a_manager_that_restarted_adopts_what_renews() -> None:
    """Its holders notice nothing."""
    budget = make(recovered=False)
    assert renew(budget, "gate/old/1/a", "a", 4, 4, 1.0) == 4
    assert renew(budget, "gate/old/2/b", "b", 6, 6, 1.0) == 6
    assert (budget.free, sizes(budget)) == (0, {"a": 4, "b": 6})


def test_nobody_grows_during_the_recovery() -> None:
    """What looks free may be held by somebody who has not renewed yet."""
    budget = make(recovered=False)
    assert renew(budget, "gate/old/1/a", "a", 4, 10, 1.0) == 4
    assert renew(budget, "gate/old/2/b", "b", 6, 6, 1.0) == 6


def test_a_lease_that_is_being_ended_is_not_adopted() -> None:
    """A holder that renews after its term, in the recovery too, has lost it."""
    budget = make(recovered=False)
    budget.renew("gate/old/1/a", "a", 4, 4, 0.0)
    budget.expire(TTL_S)
    assert renew(budget, "gate/old/1/a", "a", 4, 4, TTL_S) is None


def test_adoption_stops_at_the_budget() -> None:
    """A smaller budget than that of the manager before shrinks the last to renew, or refuses it."""
    budget = make(6, recovered=False)
    assert renew(budget, "gate/old/1/a", "a", 4, 4, 1.0) == 4
    assert renew(budget, "gate/old/2/b", "b", 4, 4, 1.0) == 2
    assert renew(budget, "gate/old/3/c", "c", 4, 4, 1.0) is None
    assert budget.free == -2, "b has yet to come down"
    assert renew(budget, "gate/old/2/b", "b", 2, 4, 2.0) == 2
    assert budget.free == 0


def test_the_recovery_ends_when_strangers_are_ended() -> None:
    """After one term the connections of whoever did not renew go first, then grants begin."""
    budget = make(recovered=False)
    budget.renew("gate/old/1/a", "a", 4, 4, 1.0)
    assert budget.expire(4.9) == []
    (due,) = budget.expire(5.0)
    assert due == Enforcement(None, frozenset({"gate/old/1/a"}))
    assert isinstance(budget.request("b", 4, 5.1), Wait)
    budget.enforced(due)
    assert grant(budget, "b", 4, 5.2).size == 4


def test_the_longest_id_fits_the_server() -> None:
    """63 bytes of a name count there; a longer holder is a defect."""
    budget = ConnectionBudget(10**6, name="n" * 16 + "/ab12cd", started_at=0.0)
    budget.end_recovery()
    assert len(grant(budget, "h" * HOLDER_MAX, 1).lease_id) <= 63
    with pytest.raises(AssertionError):
        budget.request("h" * (HOLDER_MAX + 1), 1, 0.0)


def test_an_idle_holder_gives_up_all_for_one_that_waits() -> None:
    """It can do without, and gets its part again when it wants some."""
    budget = make(3)
    idle = grant(budget, "a", 3)
    assert renew(budget, idle.lease_id, "a", 3, 0, 1.0) == 1, "nobody waits: it keeps the least"
    renew(budget, idle.lease_id, "a", 1, 0, 1.1)
    other = grant(budget, "b", 3, 1.2)
    assert other.size == 2
    assert renew(budget, idle.lease_id, "a", 1, 0, 1.3) == 0, "b is short of one"
    renew(budget, idle.lease_id, "a", 0, 0, 1.4)
    assert renew(budget, other.lease_id, "b", 2, 3, 1.5) == 3
    assert renew(budget, idle.lease_id, "a", 0, 3, 1.6) == 0, "there is none yet"
    assert renew(budget, other.lease_id, "b", 3, 3, 1.7) == 2
    renew(budget, other.lease_id, "b", 2, 3, 1.8)
    assert renew(budget, idle.lease_id, "a", 0, 3, 1.9) == 1


def test_more_processes_than_connections_take_turns() -> None:
    """Who has had its turn makes way, and waits behind those that wait already."""
    budget = make(1)
    first = grant(budget, "a", 1)
    assert isinstance(budget.request("b", 1, 0.5), Wait)
    assert renew(budget, first.lease_id, "a", 1, 1, 1.0) == 1, "its turn lasts"
    assert renew(budget, first.lease_id, "a", 1, 1, 2.0) == 0
    assert isinstance(budget.request("b", 1, 2.1), Wait), "it is still open"
    renew(budget, first.lease_id, "a", 0, 1, 2.2)
    second = grant(budget, "b", 1, 2.3)
    assert budget.snapshot(2.3).waiting == 1
    assert renew(budget, second.lease_id, "b", 1, 1, 4.4) == 0
    renew(budget, second.lease_id, "b", 0, 1, 4.5)
    assert renew(budget, first.lease_id, "a", 0, 1, 4.6) == 1


def test_whoever_uses_connections_comes_before_all_who_do_not() -> None:
    """However short their turn was; among those who do, turns last."""
    budget = make(1)
    first = grant(budget, "a", 1)
    budget.renew(first.lease_id, "a", 1, 1, 0.4, active=False)
    assert isinstance(budget.request("b", 1, 0.5), Wait)
    assert budget.renew(first.lease_id, "a", 1, 1, 0.6, active=False) == Renewed(0, scarce=True)
    budget.renew(first.lease_id, "a", 0, 1, 0.7, active=False)
    second = grant(budget, "b", 1, 0.8)
    assert renew(budget, second.lease_id, "b", 1, 1, 2.7) == 1
    assert renew(budget, first.lease_id, "a", 0, 1, 2.7) == 0
    assert renew(budget, second.lease_id, "b", 1, 1, 2.9) == 0


def test_with_fewer_connections_than_processes_nobody_keeps_what_it_does_not_use() -> None:
    """Who wants some finds it free, and need not wait until the others have heard of it."""
    budget = make(3)
    idle, other, busy = (grant(budget, holder, 1) for holder in "abc")
    assert budget.renew(idle.lease_id, "a", 1, 0, 1.0) == Renewed(1), "there is one for each"
    budget.limit(2)
    assert budget.renew(idle.lease_id, "a", 1, 0, 2.0) == Renewed(0, scarce=True)
    assert budget.renew(other.lease_id, "b", 1, 0, 2.1) == Renewed(0, scarce=True)
    renew(budget, idle.lease_id, "a", 0, 0, 2.2)
    renew(budget, other.lease_id, "b", 0, 0, 2.3)
    assert renew(budget, busy.lease_id, "c", 1, 2, 2.4) == 2


def test_a_silent_lease_of_which_the_server_shows_nothing_is_free() -> None:
    """Its holder is dead, or asks before it connects. One that has renewed meanwhile stays."""
    budget = make()
    lost, kept = grant(budget, "a", 4), grant(budget, "b", 4)
    assert budget.silent(SILENT_S - 0.1) == ()
    assert budget.silent(SILENT_S) == (lost.lease_id, kept.lease_id)
    renew(budget, kept.lease_id, "b", 4, 4, SILENT_S)
    assert budget.vanished([lost.lease_id, kept.lease_id, "unknown"], SILENT_S + 0.1) == 1
    assert budget.free == 6
    assert renew(budget, lost.lease_id, "a", 4, 4, SILENT_S + 0.2) is None


def test_a_smaller_limit_is_reached_as_holders_renew() -> None:
    """Nothing is granted before, and all of it comes back with the limit."""
    budget = make()
    lease = grant(budget, "a", 8)
    budget.limit(4)
    assert budget.free == -4
    assert isinstance(budget.request("b", 1, 0.1), Wait)
    assert renew(budget, lease.lease_id, "a", 8, 8, 1.0) == 3, "b wants one"
    renew(budget, lease.lease_id, "a", 3, 8, 1.1)
    assert grant(budget, "b", 1, 1.2).size == 1
    budget.limit(10)
    assert renew(budget, lease.lease_id, "a", 3, 8, 2.0) == 8


def test_a_window_without_connections_holds_everybody() -> None:
    """They are told for how long, and keep their leases."""
    budget = make()
    lease = grant(budget, "a", 4)
    budget.limit(0, held_until=30.0)
    assert budget.renew(lease.lease_id, "a", 4, 4, 10.0) == Renewed(0, 20.0, scarce=True)
    assert budget.request("b", 1, 29.5) == Wait("the server is being worked on", 0.5)
    budget.renew(lease.lease_id, "a", 0, 4, 29.6)
    budget.limit(10)
    assert budget.renew(lease.lease_id, "a", 0, 4, 30.0) == Renewed(4)


@pytest.mark.parametrize(
    "message",
    [Grant("l", 1, 5.0), Renewed(1, 2.0), Wait("full", 1.0), Enforcement(None, frozenset("l")), make().snapshot(0.0)],
)
def test_messages_cross_processes(message: object) -> None:
    """What the manager answers survives pickling."""
    assert pickle.loads(pickle.dumps(message)) == message
