"""Who may hold how many connections: a pure state machine, told the time.

Whoever holds connections holds a lease, and renews it. A lease that ran out still counts until its connections were
ended at the server; only then are they granted again. Source: Gray and Cheriton, Leases, SOSP 1989.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actors.pool.messages import BudgetSnapshot, Enforcement, Grant, Renewed, Wait
from actors.pool.shares import fair_shares

# A lease id is the name of its connections at the server, where 63 bytes count.
HOLDER_MAX = 32
# For how long after it asked a holder may open connections without asking again. A lease that is silent for longer and
# of which the server shows no connection has none and gets none: its holder is dead, or will ask first.
SILENT_S = 1.25
# Where there are more processes than connections, each keeps its own for so long before others have their turn.
TURN_S = 2.0
# Shares are looked at again after that time also where nobody has said anything new: turns end.
SHARES_AGE_S = 0.1


@dataclass(slots=True)
class Lease:
    """What one holder may hold, and what it last said that it might hold (more, while it shrinks)."""

    lease_id: str
    holder: str
    size: int
    held: int
    want: int
    expires_at: float
    renewed_at: float
    since: float
    """when its size last changed from or to 0"""
    active: bool = True
    """whether somebody used or waited for a connection when it last renewed"""

    @property
    def counted(self) -> int:
        """Connections that may exist under this lease."""
        return max(self.size, self.held)


@dataclass(slots=True)
class Waiter:
    """A process without a lease that has asked for one."""

    want: int
    asked_at: float
    since: float


class ConnectionBudget:
    """Share ``total`` connections among holders.

    Invariant: no grant and no growth lets the sum of all sizes, those that ran out and are not yet enforced included,
    pass ``total``. Everybody's size moves at its renewals towards its fair share of the total by what all want
    (``fair_shares``): an idle process gives up what a waiting one gets. Where there is not even ``min_per_holder`` for
    each, those who want some take turns, and nobody keeps any in reserve. For ``recovery_s`` after ``started_at``
    leases of a former manager are adopted as they renew, and nothing is granted.
    """

    def __init__(
        self,
        total: int,
        *,
        name: str,
        started_at: float,
        min_per_holder: int = 1,
        ttl_s: float = 5.0,
        recovery_s: float = 5.0,
        turn_s: float = TURN_S,
    ) -> None:
        assert 0 < min_per_holder <= total
        self._total = total
        self._name = name
        self._min = min_per_holder
        self._ttl_s = ttl_s
        self._silent_s = min(SILENT_S, ttl_s)
        self._turn_s = turn_s
        self._held_until = started_at
        self._granted = 0
        self._leases: dict[str, Lease] = {}
        self._by_holder: dict[str, Lease] = {}
        self._enforcing: dict[str, int] = {}
        self._waiting: dict[str, Waiter] = {}
        self._recovery_ends: float | None = started_at + recovery_s
        self._shares: dict[str, int] | None = None
        self._shared_at = started_at

    @property
    def recovering(self) -> bool:
        """Whether leases that nobody knows of may be out."""
        return self._recovery_ends is not None

    @property
    def free(self) -> int:
        """Connections that no lease accounts for; below 0, those that are to come back after ``limit``."""
        return self._total - self.out

    @property
    def out(self) -> int:
        """Connections that may exist under all leases, those included that are being ended."""
        return sum(lease.counted for lease in self._leases.values()) + sum(self._enforcing.values())

    @property
    def granted(self) -> int:
        """How many leases there have been."""
        return self._granted

    @property
    def holders(self) -> frozenset[str]:
        """Everybody who has a lease."""
        return frozenset(self._by_holder)

    def limit(self, total: int, *, held_until: float = 0.0) -> None:
        """Share so many from now on. What is out beyond it comes back as holders renew. With 0 nothing is leased, until
        ``held_until`` as far as is known.
        """
        assert total >= 0
        if total != self._total:
            self._shares = None
        self._total = total
        self._held_until = held_until

    def request(self, holder: str, want: int, now: float) -> Grant | Wait:
        """Lease up to ``want`` connections, at least ``min_per_holder``. Safe to repeat: one holder has one lease."""
        assert want > 0
        lease = self._by_holder.get(holder)
        if lease is not None:
            lease.expires_at, lease.renewed_at = now + self._ttl_s, now
            return Grant(lease.lease_id, lease.size, self._ttl_s)
        if self._recovery_ends is not None:
            return Wait("the manager has just started", max(0.1, min(1.0, self._recovery_ends - now)))
        waiter = self._waiting.get(holder)
        if waiter is None or waiter.want != want:
            waiter = self._waiting[holder] = Waiter(want, now, waiter.since if waiter is not None else now)
            self._shares = None
        waiter.asked_at = now
        if self._total == 0:
            return Wait("the server is being worked on", max(0.1, min(1.0, self._held_until - now)))
        size = min(self._fair(now)[holder], self.free)
        if size < self._min:
            # The more wait, the less often each asks; together they ask 200 times a second at most.
            return Wait("every connection is leased", min(self._ttl_s / 5, max(0.1, len(self._waiting) / 200)))
        del self._waiting[holder]
        return self._grant(holder, size, want, now)

    def renew(
        self, lease_id: str, holder: str, size: int, want: int, now: float, *, active: bool = True
    ) -> Renewed | None:
        """Prolong a lease and return its size from now on. None: it is lost, close everything and request anew.

        ``size`` is what the holder may hold at this moment: its limit, or more while it closes the rest. Where the
        size shrinks, the old one counts until the holder reports that it has come down. ``want`` 0: it can do without,
        and does where others wait. ``active``: somebody uses or waits for a connection this moment; where they take
        turns, whoever is comes before all who are not. A lease that ran out is prolonged as long as its connections
        were not ended. Safe to repeat.
        """
        lease = self._leases.get(lease_id) or self._adopt(lease_id, holder, size, want, now)
        if lease is None:
            return None
        if lease.want != want or (lease.active != active and self._scarce()):
            self._shares = None
        lease.active = active
        lease.held, lease.want, lease.expires_at, lease.renewed_at = size, want, now + self._ttl_s, now
        resized = self._resized(lease, now)
        if (resized == 0) != (lease.size == 0):
            lease.since = now
            self._shares = None
        lease.size = resized
        return Renewed(resized, max(0.0, self._held_until - now) if self._total == 0 else 0.0, self._scarce())

    def forget(self) -> None:
        """Drop every lease: it is certain that none of their connections is left, and that none is being made."""
        self._leases.clear()
        self._by_holder.clear()
        self._enforcing.clear()
        self._shares = None

    def release(self, lease_id: str) -> None:
        """Take a lease back whose connections its holder has closed. Safe to repeat."""
        self._drop(lease_id)

    def silent(self, now: float) -> tuple[str, ...]:
        """Return the leases whose holders may not open a connection now without asking first."""
        return tuple(lease.lease_id for lease in self._leases.values() if self._is_silent(lease, now))

    def vanished(self, lease_ids: Iterable[str], now: float) -> int:
        """Take back those that are still silent; return how many. The server was asked while they were, and showed none
        of their connections.
        """
        gone = [
            lease for lease in map(self._leases.get, lease_ids) if lease is not None and self._is_silent(lease, now)
        ]
        for lease in gone:
            self._drop(lease.lease_id)
        return len(gone)

    def expire(self, now: float) -> list[Enforcement]:
        """Return what has to be ended at the server, again until ``enforced``; until then it counts."""
        for lease in [lease for lease in self._leases.values() if lease.expires_at <= now]:
            self._drop(lease.lease_id)
            self._enforcing[lease.lease_id] = lease.counted
        due = [Enforcement(lease_id) for lease_id in self._enforcing]
        if self._recovery_ends is not None and self._recovery_ends <= now:
            due.append(Enforcement(None, frozenset(self._leases)))
        return due

    def enforced(self, enforcement: Enforcement) -> None:
        """Record that the server has ended those connections: they can be granted again."""
        if enforcement.lease_id is None:
            self._recovery_ends = None
        else:
            self._enforcing.pop(enforcement.lease_id, None)

    def end_recovery(self) -> None:
        """Grant from now on: it is certain that no lease of a former manager is out."""
        self._recovery_ends = None

    def snapshot(self, now: float) -> BudgetSnapshot:
        """Return the state for people to look at."""
        self._forget_waiters(now)
        hungry = sum(lease.size == 0 and lease.want > 0 for lease in self._leases.values())
        return BudgetSnapshot(
            total=self._total,
            free=self.free,
            enforcing=sum(self._enforcing.values()),
            recovering=self.recovering,
            waiting=len(self._waiting) + hungry,
            leases=tuple((each.lease_id, each.holder, each.size, each.held) for each in self._leases.values()),
        )

    def _grant(self, holder: str, size: int, want: int, now: float) -> Grant:
        self._granted += 1
        lease_id = f"{self._name}/{self._granted}/{holder}"
        self._add(Lease(lease_id, holder, size, 0, want, now + self._ttl_s, now, now))
        return Grant(lease_id, size, self._ttl_s)

    def _adopt(self, lease_id: str, holder: str, size: int, want: int, now: float) -> Lease | None:
        """Take over a lease of the manager before this one, as far as the budget goes."""
        granted = min(size, max(0, self.free))
        taken = holder in self._by_holder or lease_id in self._enforcing
        # One whose holder waited for its turn holds nothing and goes on waiting.
        if not self.recovering or taken or (granted < self._min and size > 0):
            return None
        lease = Lease(lease_id, holder, granted, size, want, now + self._ttl_s, now, now)
        self._add(lease)
        return lease

    def _resized(self, lease: Lease, now: float) -> int:
        if self.recovering:
            return lease.size  # What looks free may be held under a lease that has not renewed yet.
        shares = self._fair(now)
        share = shares[lease.holder]
        if share <= lease.size:
            if lease.want == 0 and self.free >= 0 and not self._scarce() and not self._anybody_short(shares):
                return min(lease.size, self._min)
            return share
        # A lease that holds more than its size accounts for that much already.
        grown = lease.size + max(0, min(share - lease.size, self.free + lease.counted - lease.size))
        return grown if grown >= self._min else lease.size

    def _scarce(self) -> bool:
        return (len(self._leases) + len(self._waiting)) * self._min > self._total

    def _anybody_short(self, shares: dict[str, int]) -> bool:
        return bool(self._waiting) or any(shares[lease.holder] > lease.size for lease in self._leases.values())

    def _fair(self, now: float) -> dict[str, int]:
        """Return the fair share of every holder and waiter, in the order in which they come."""
        if self._shares is None or self._shared_at + SHARES_AGE_S <= now:
            self._forget_waiters(now)
            wants = {lease.holder: lease.want for lease in self._leases.values()}
            wants.update({holder: waiter.want for holder, waiter in self._waiting.items()})
            order = sorted(wants, key=lambda holder: self._turn(holder, now))
            shares = fair_shares(self._total, [wants[holder] for holder in order], self._min)
            self._shares, self._shared_at = dict(zip(order, shares, strict=True)), now
        return self._shares

    def _turn(self, holder: str, now: float) -> tuple[bool, int, float]:
        """Return the order in which it comes: whose turn it is, then who waits, then whose turn is over; first those
        that are active.
        """
        lease = self._by_holder.get(holder)
        if lease is None:
            return False, 1, self._waiting[holder].since
        idle = not lease.active
        if lease.size == 0:
            return idle, 1, lease.since
        if now < lease.since + self._turn_s:
            return idle, 0, lease.since
        return idle, 2, -lease.since

    def _is_silent(self, lease: Lease, now: float) -> bool:
        return lease.renewed_at + self._silent_s <= now

    def _forget_waiters(self, now: float) -> None:
        """A waiter that has not asked for a whole term has gone."""
        for holder, waiter in list(self._waiting.items()):
            if waiter.asked_at + self._ttl_s <= now:
                del self._waiting[holder]
                self._shares = None

    def _add(self, lease: Lease) -> None:
        assert len(lease.holder) <= HOLDER_MAX, lease.holder
        self._leases[lease.lease_id] = lease
        self._by_holder[lease.holder] = lease
        self._shares = None

    def _drop(self, lease_id: str) -> None:
        lease = self._leases.pop(lease_id, None)
        if lease is not None and self._by_holder.get(lease.holder) is lease:
            del self._by_holder[lease.holder]
        self._shares = None
