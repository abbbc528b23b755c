"""Any sequence of requests, renewals, deaths and restarts keeps the connections at the server within the budget.

The model is the world: holders that open what they believe they may, a server that counts, managers that restart.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.pool.budget import ConnectionBudget
from actors.pool.messages import Enforcement, Grant

TOTAL = 12
TTL_S = 5.0
HOLDERS_MAX = 4
PICKS = st.integers(0, HOLDERS_MAX - 1)
WANTS = st.sampled_from([1, 3, 8, 20])


@dataclass
class Holder:
    """A process with a lease: what it may open by its own knowledge, and what it has open."""

    name: str
    lease_id: str
    limit: int
    open: int = 0


class BudgetMachine(RuleBasedStateMachine):
    """The worst of worlds: everybody opens at once what it may and closes late or never, and answers are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.incarnation = 0
        self.lives = 0
        self.holders: dict[str, Holder] = {}
        self.left_open: dict[str, int] = {}
        self.restart()
        self.budget.end_recovery()

    def restart(self) -> None:
        self.incarnation += 1
        self.budget = ConnectionBudget(
            TOTAL, name=f"gate/{self.incarnation}", started_at=self.now, ttl_s=TTL_S, recovery_s=TTL_S
        )

    def server_count(self) -> int:
        return sum(holder.open for holder in self.holders.values()) + sum(self.left_open.values())

    def some_holder(self, pick: int) -> Holder:
        return sorted(self.holders.values(), key=lambda holder: holder.name)[pick % len(self.holders)]

    @precondition(lambda self: len(self.holders) < HOLDERS_MAX)
    @rule(want=WANTS)
    def request(self, want: int) -> None:
        """A process starts; one that waits asks again under the same name."""
        name = f"h{self.lives}"
        answer = self.budget.request(name, want, self.now)
        if isinstance(answer, Grant):
            assert 1 <= answer.size <= want
            self.holders[name] = Holder(name, answer.lease_id, answer.size, open=answer.size)
            self.lives += 1

    @precondition(lambda self: self.holders)
    @rule(
        pick=PICKS,
        want=st.one_of(st.just(0), WANTS),
        active=st.booleans(),
        answer_lost=st.booleans(),
        closes=st.booleans(),
    )
    def renew(self, pick: int, want: int, active: bool, answer_lost: bool, closes: bool) -> None:
        holder = self.some_holder(pick)
        may_hold = max(holder.limit, holder.open)
        renewed = self.budget.renew(holder.lease_id, holder.name, may_hold, want, self.now, active=active)
        if answer_lost:
            return
        if renewed is None:
            del self.holders[holder.name]
            return
        size = renewed.size
        holder.limit = size
        holder.open = size if closes else max(holder.open, size)

    @precondition(lambda self: self.holders)
    @rule(pick=PICKS, hangs=st.booleans())
    def end(self, pick: int, hangs: bool) -> None:
        """A process closes all and goes, or stops for ever with its connections open."""
        holder = self.holders.pop(self.some_holder(pick).name)
        if hangs:
            self.left_open[holder.lease_id] = holder.open
        else:
            self.budget.release(holder.lease_id)

    @precondition(lambda self: self.holders)
    @rule(pick=PICKS)
    def kill(self, pick: int) -> None:
        """A process dies; the system closes its connections."""
        del self.holders[self.some_holder(pick).name]

    @rule()
    def patrol(self) -> None:
        """Silent leases of which the server shows nothing are taken back. Who lives and has lost one asks first."""
        seen = {holder.lease_id for holder in self.holders.values() if holder.open} | {*self.left_open}
        silent = [lease_id for lease_id in self.budget.silent(self.now) if lease_id not in seen]
        self.budget.vanished(silent, self.now)
        for holder in list(self.holders.values()):
            if holder.lease_id in silent:
                del self.holders[holder.name]

    @rule(seconds=st.sampled_from([0.5, 1.25, 2.0, TTL_S]), reachable=st.booleans())
    def pass_time(self, seconds: float, reachable: bool) -> None:
        """The manager ends what ran out, if it reaches the server."""
        self.now += seconds
        for due in self.budget.expire(self.now):
            if reachable:
                self._end(due)
                self.budget.enforced(due)

    def _end(self, due: Enforcement) -> None:
        def is_due(lease_id: str) -> bool:
            return lease_id == due.lease_id if due.lease_id is not None else lease_id not in due.known

        self.left_open = {lease: count for lease, count in self.left_open.items() if not is_due(lease)}
        for name, holder in list(self.holders.items()):
            if is_due(holder.lease_id):
                # It finds its connections ended and asks before it connects again.
                del self.holders[name]

    @precondition(lambda self: not self.budget.recovering)
    @rule()
    def manager_restarts(self) -> None:
        self.restart()

    @invariant()
    def the_server_never_sees_more_than_the_budget(self) -> None:
        assert self.server_count() <= TOTAL

    @invariant()
    def what_the_budget_accounts_for_is_within_it(self) -> None:
        snapshot = self.budget.snapshot(self.now)
        assert sum(size for _, _, size, _ in snapshot.leases) + snapshot.enforcing <= TOTAL

    @invariant()
    def every_holder_s_connections_are_accounted_for(self) -> None:
        """Once the recovery is over no connection is outside the books."""
        if not self.budget.recovering:
            assert self.server_count() <= TOTAL - self.budget.free


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
