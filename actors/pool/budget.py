"""Who may hold how many connections: the sum never passes the budget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Lease:
    size: int
    until: float


class ConnectionBudget:
    """Leases connections of one server to processes. Times are seconds of the caller's monotonic clock.

    After a restart nothing is known of leases that are out, so for one term nothing is granted; holders that renew
    in that time keep what they hold.
    """

    def __init__(self, total: int, *, ttl_s: float, started_at: float) -> None:
        assert total > 0
        self._total = total
        self._ttl_s = ttl_s
        self._grants_from = started_at + ttl_s
        self._leases: dict[str, _Lease] = {}

    @property
    def leased(self) -> int:
        """Connections that are leased out."""
        return sum(lease.size for lease in self._leases.values())

    def request(self, holder: str, want: int, now: float) -> int:
        """Return how many connections the holder may open from now on: what it asks for or what is left; 0: wait."""
        if now < self._grants_from:
            return 0
        held = self._leases.pop(holder, None)
        size = min(want, self._total - self.leased)
        if held is not None:
            size = max(size, min(held.size, want))
        if size > 0:
            self._leases[holder] = _Lease(size, now + self._ttl_s)
        return size

    def renew(self, holder: str, size: int, now: float) -> bool:
        """Prolong a lease; False where it has run out and its connections may have been given to others."""
        lease = self._leases.get(holder)
        if lease is None:
            if now >= self._grants_from or self.leased + size > self._total:
                return False
            lease = self._leases[holder] = _Lease(size, now)
        lease.until = now + self._ttl_s
        return True

    def release(self, holder: str) -> None:
        """Take a lease back that its holder does not need; again changes nothing."""
        self._leases.pop(holder, None)

    def expired(self, now: float) -> list[str]:
        """Return the holders whose term is over; their connections must be ended before they are released."""
        return [holder for holder, lease in self._leases.items() if lease.until <= now]
