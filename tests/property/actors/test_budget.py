"""Any sequence of requests, renewals, deaths and restarts keeps the connections at the server within the budget.

The model is the world: holders that really open what they believe they may, a server that counts, managers that restart.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.pool.budget import ConnectionBudget, Enforcement, Grant

TOTAL = 12
TTL_S = 5.0
HOLDERS = [f"h{number}" for number in range(5)]


@dataclass
class Holder:
    """A process with a lease: what it may open by its own knowledge, and what it has open."""

    lease_id: str
    limit: int
    open: int = 0


class BudgetMachine(RuleBasedStateMachine):
    """Holders believe what they were told last; answers may be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.incarnation = 0
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

    @rule(name=st.sampled_from(HOLDERS), want=st.integers(1, 20))
    def request(self, name: str, want: int) -> None:
        if name in self.holders:
            return
        answer = self.budget.request(name, want, self.now)
        if isinstance(answer, Grant):
            assert 1 <= answer.size <= want
            self.holders[name] = Holder(answer.lease_id, answer.size)

    @rule(name=st.sampled_from(HOLDERS), count=st.integers(0, 20))
    def use(self, name: str, count: int) -> None:
        """Open or close connections, up to the limit that the holder knows."""
        holder = self.holders.get(name)
        if holder is not None:
            holder.open = min(count, holder.limit)

    @rule(name=st.sampled_from(HOLDERS), want=st.integers(1, 20), answer_lost=st.booleans(), closes=st.booleans())
    def renew(self, name: str, want: int, answer_lost: bool, closes: bool) -> None:
        holder = self.holders.get(name)
        if holder is None:
            return
        size = self.budget.renew(holder.lease_id, name, max(holder.limit, holder.open), want, self.now)
        if answer_lost:
            return
        if size == 0:
            del self.holders[name]
            return
        holder.limit = size
        if closes:
            holder.open = min(holder.open, size)

    @rule(name=st.sampled_from(HOLDERS))
    def release(self, name: str) -> None:
        holder = self.holders.pop(name, None)
        if holder is not None:
            self.budget.release(holder.lease_id)

    @rule(name=st.sampled_from(HOLDERS))
    def hang(self, name: str) -> None:
        """A process stops for ever with its connections open."""
        holder = self.holders.pop(name, None)
        if holder is not None:
            self.left_open[holder.lease_id] = holder.open

    @rule(seconds=st.floats(0.1, 3.0))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(reachable=st.booleans())
    def enforce(self, reachable: bool) -> None:
        """The manager ends what ran out, if it reaches the server."""
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
TestBudget.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
