"""Who may hold how many connections: a pure state machine, told the time.

Whoever holds connections holds a lease, and renews it. A lease that ran out still counts until its connections were
ended at the server; only then are they granted again. Source: Gray and Cheriton, Leases, SOSP 1989.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# A lease id is the name of its connections at the server, where 63 bytes count.
HOLDER_MAX = 32


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease of ``size`` connections that bear ``lease_id`` as their name, for ``ttl_s`` from when it was asked."""

    lease_id: str
    size: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is free now: ask again after ``retry_after_s``."""

    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Connections to be ended at the server: those of one lease, or of every lease but the ``known`` ones."""

    lease_id: str | None
    known: frozenset[str] = frozenset()


@dataclass(slots=True)
class Lease:
    """What one holder may hold, and what it last said that it might hold (more, while it shrinks)."""

    lease_id: str
    holder: str
    size: int
    held: int
    want: int
    expires_at: float

    @property
    def counted(self) -> int:
        """Connections that may exist under this lease."""
        return max(self.size, self.held)


@dataclass(frozen=True, slots=True)
class BudgetSnapshot:
    """The budget at one moment. ``free`` can be granted; ``enforcing`` waits for the server."""

    total: int
    free: int
    enforcing: int
    recovering: bool
    waiting: int
    leases: tuple[tuple[str, str, int, int], ...] = field(default=())
    """lease id, holder, size, held"""


class ConnectionBudget:
    """Share ``total`` connections among holders.

    Invariant: the sum of all sizes, those that ran out and are not yet enforced included, never passes ``total``.
    While somebody waits, each holder's share shrinks at its next renewal to an equal part, never below
    ``min_per_holder``; what a holder wants beyond its size it gets back when nobody waits. For ``recovery_s`` after
    ``started_at`` leases of a former manager are adopted as they renew, and nothing is granted.
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
    ) -> None:
        assert 0 < min_per_holder <= total
        self._total = total
        self._name = name
        self._min = min_per_holder
        self._ttl_s = ttl_s
        self._granted = 0
        self._leases: dict[str, Lease] = {}
        self._by_holder: dict[str, Lease] = {}
        self._enforcing: dict[str, int] = {}
        self._waiting: dict[str, float] = {}
        self._recovery_ends: float | None = started_at + recovery_s

    @property
    def recovering(self) -> bool:
        """Whether leases that nobody knows of may be out."""
        return self._recovery_ends is not None

    @property
    def free(self) -> int:
        """Connections that no lease accounts for."""
        return self._total - sum(lease.counted for lease in self._leases.values()) - sum(self._enforcing.values())

    def request(self, holder: str, want: int, now: float) -> Grant | Wait:
        """Lease up to ``want`` connections, at least ``min_per_holder``. Safe to repeat: one holder has one lease."""
        assert want > 0
        lease = self._by_holder.get(holder)
        if lease is not None:
            lease.expires_at = now + self._ttl_s
            return Grant(lease.lease_id, lease.size, self._ttl_s)
        if self._recovery_ends is not None:
            return Wait("the manager has just started", max(0.1, min(1.0, self._recovery_ends - now)))
        self._waiting[holder] = now
        size = min(want, self.free, self._fair_share(now))
        if size < self._min:
            return Wait("every connection is leased", min(1.0, self._ttl_s / 5))
        del self._waiting[holder]
        return self._grant(holder, size, want, now)

    def renew(self, lease_id: str, holder: str, size: int, want: int, now: float) -> int:
        """Prolong a lease and return its size from now on; 0: it is lost, close everything and request anew.

        ``size`` is what the holder may hold at this moment: its limit, or more while it closes the rest. Where the
        size shrinks, the old one counts until the holder reports that it has come down. A lease that ran out is
        prolonged as long as its connections were not ended. Safe to repeat.
        """
        lease = self._leases.get(lease_id) or self._adopt(lease_id, holder, size, want, now)
        if lease is None:
            return 0
        lease.held, lease.want, lease.expires_at = size, want, now + self._ttl_s
        lease.size = self._resized(lease, now)
        return lease.size

    def release(self, lease_id: str) -> None:
        """Take a lease back whose connections its holder has closed. Safe to repeat."""
        self._drop(lease_id)

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
        return BudgetSnapshot(
            total=self._total,
            free=self.free,
            enforcing=sum(self._enforcing.values()),
            recovering=self.recovering,
            waiting=len(self._waiting),
            leases=tuple((each.lease_id, each.holder, each.size, each.held) for each in self._leases.values()),
        )

    def _grant(self, holder: str, size: int, want: int, now: float) -> Grant:
        self._granted += 1
        lease_id = f"{self._name}/{self._granted}/{holder}"
        self._add(Lease(lease_id, holder, size, 0, want, now + self._ttl_s))
        return Grant(lease_id, size, self._ttl_s)

    def _adopt(self, lease_id: str, holder: str, size: int, want: int, now: float) -> Lease | None:
        """Take over a lease of the manager before this one, as far as the budget goes."""
        granted = min(size, self.free)
        taken = holder in self._by_holder or lease_id in self._enforcing
        if not self.recovering or taken or granted < self._min:
            return None
        lease = Lease(lease_id, holder, granted, size, want, now + self._ttl_s)
        self._add(lease)
        return lease

    def _resized(self, lease: Lease, now: float) -> int:
        self._forget_waiters(now)
        if self._waiting:
            return min(lease.size, max(self._min, self._fair_share(now)))
        if lease.want <= lease.size:
            return max(self._min, lease.want)
        if self.recovering:
            return lease.size  # What looks free may be held under a lease that has not renewed yet.
        # A lease that holds more than its size accounts for that much already.
        return lease.size + max(0, min(lease.want - lease.size, self.free + lease.counted - lease.size))

    def _fair_share(self, now: float) -> int:
        """What each would have if those that wait had their part."""
        self._forget_waiters(now)
        holders = len(self._leases) + len(self._waiting)
        return max(self._min, self._total // max(1, holders))

    def _forget_waiters(self, now: float) -> None:
        """A waiter that has not asked for a whole term has gone."""
        for holder, asked_at in list(self._waiting.items()):
            if asked_at + self._ttl_s <= now:
                del self._waiting[holder]

    def _add(self, lease: Lease) -> None:
        assert len(lease.holder) <= HOLDER_MAX, lease.holder
        self._leases[lease.lease_id] = lease
        self._by_holder[lease.holder] = lease

    def _drop(self, lease_id: str) -> None:
        lease = self._leases.pop(lease_id, None)
        if lease is not None and self._by_holder.get(lease.holder) is lease:
            del self._by_holder[lease.holder]
