"""The table of clusters in memory, by a clock of the test's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.pool.clusters.membership import LEASE_S, Beat, Member


@dataclass(slots=True)
class Row:
    """A row as PostgreSQL has it."""

    life: str
    joined: int
    seen_at: float
    budget: int
    held: int = 0
    acknowledged: int = 0
    reign: int | None = None


class ClusterTable:
    """What `StoredRegister` does, without a database. ``now`` is the database's clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last = 0
        self.rows: dict[str, Row] = {}

    def members(self) -> list[Member]:
        """Return the table."""
        return [self._member(name) for name in sorted(self.rows, key=lambda name: self.rows[name].joined)]

    def beat(self, name: str, life: str, decide: Callable[[Sequence[Member]], Beat]) -> list[Member]:
        """Store what is decided on the table as it is; return the table as it is then."""
        beat = decide(self.members())
        if beat.is_new:
            self.rows[name] = Row(life, self._number(), self._now(), beat.budget)
            return self.members()
        row = self.rows[name]
        row.life, row.seen_at, row.budget, row.held = life, self._now(), beat.budget, beat.held
        row.acknowledged = beat.acknowledged
        if not beat.alone:
            row.reign = None
        elif row.reign is None:
            row.reign = self._number()
        return self.members()

    def remove(self, member: Member) -> bool:
        """Remove one that has not beaten since it was seen, and is dead."""
        row = self.rows.get(member.name)
        if row is None or str(row.seen_at) != member.seen or self._now() - row.seen_at <= LEASE_S:
            return False
        del self.rows[member.name]
        return True

    def sign_off(self, name: str) -> None:
        """Remove one that is down."""
        self.rows.pop(name, None)

    def _number(self) -> int:
        self._last += 1
        return self._last

    def _member(self, name: str) -> Member:
        row = self.rows[name]
        silent_s = self._now() - row.seen_at
        return Member(
            name, row.life, row.joined, row.acknowledged, row.held, row.budget, row.reign, silent_s, str(row.seen_at)
        )
