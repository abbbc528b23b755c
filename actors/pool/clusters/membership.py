"""One cluster among those on a database: a pure state machine, told the time and what the table says.

Each cluster beats once a second. What it may do rests on its last beat and ends ``RIGHTS_S`` after that was sent, by
its own clock; it counts as dead ``LEASE_S`` after the beat was stored, by the database's. The first is earlier than the
second, and by more than a connection takes to be made. So whoever ends the connections of a dead cluster knows that no
more follow, and that nothing is served from its caches. Source: Gray and Cheriton, Leases, SOSP 1989.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEASE_S = 10.0
CONNECT_WITHIN_S = 3.0
"""How long making a connection takes at most: ``Connector.connect_timeout_s``."""
RIGHTS_S = LEASE_S - CONNECT_WITHIN_S


@dataclass(frozen=True, slots=True)
class Member:
    """A cluster as the table has it. ``joined`` numbers those that came, ``acknowledged`` is the highest of them since
    whose coming it has served nothing from a cache. ``held`` connections are its own."""

    name: str
    life: str
    joined: int
    acknowledged: int
    held: int
    budget: int
    reign: int | None
    silent_s: float
    seen: str = ""
    """when it beat last, by the database's clock"""

    @property
    def is_dead(self) -> bool:
        """Whether its lease has run out."""
        return self.silent_s > LEASE_S


@dataclass(frozen=True, slots=True)
class Beat:
    """What a cluster stores of itself. ``alone``: it begins a reign, or goes on with the one that it has; else it has
    none. ``is_new``: it joins by this, and may do nothing yet."""

    budget: int
    held: int = 0
    acknowledged: int = 0
    alone: bool = False
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Reign:
    """Whether caches may be served: under this number for ``for_s``; None: another cluster is there."""

    number: int | None
    for_s: float


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster as operators see it."""

    name: str
    share: int
    silent_s: float
    is_own: bool


class Membership:
    """What one life of one pool manager knows and may do.

    Invariant: the ``held`` of all in the table together are at most the least budget among them, once those that were
    there have come down to it. A share grows only by what the table shows to be free, in the transaction that says so.
    """

    def __init__(self, name: str, started_at: float) -> None:
        self._name = name
        self._joined: int | None = None
        self._reign: int | None = None
        self._members: tuple[Member, ...] = ()
        self._share = 0
        self._rights_end = -math.inf
        # A life before this one may have let caches be served, by a beat of before this moment.
        self._caches_end = started_at + RIGHTS_S

    @property
    def is_known(self) -> bool:
        """Whether this life has ever been told what it may do."""
        return self._joined is not None

    @property
    def share(self) -> int:
        """The connections that this cluster may lease."""
        return self._share

    @property
    def waits(self) -> bool:
        """Whether others have yet to make room."""
        return self._share == 0

    @property
    def clusters(self) -> tuple[ClusterView, ...]:
        """All clusters as of the last beat, the oldest first."""
        return tuple(
            ClusterView(each.name, each.held, each.silent_s, each.name == self._name)
            for each in sorted(self._members, key=lambda member: member.joined)
        )

    def rights_s(self, now: float) -> float:
        """Return for how long connections may be made without asking again."""
        return max(0.0, self._rights_end - now)

    def reign(self, now: float) -> Reign:
        """Return whether caches may be served, and for how long without asking again."""
        return Reign(self._reign, self.rights_s(now) if self._reign is not None else 0.0)

    def was_dropped(self, members: Sequence[Member]) -> bool:
        """Say whether others have removed it: its connections were ended, and it joins anew. It forgets what it had."""
        if self._joined is None or any(each.name == self._name and each.joined == self._joined for each in members):
            return False
        self._joined, self._share, self._reign, self._rights_end = None, 0, None, -math.inf
        return True

    def share_of(self, members: Sequence[Member], budget: int) -> int:
        """Return what this cluster may lease from now on, with a budget of its own of so many.

        The least budget is shared evenly, and what is left over goes to the oldest. Nobody has more than the others
        leave of it, and who joins has nothing before all that were there have acknowledged that.
        """
        own = self._own(members)
        if own is None:
            return 0
        others = [each for each in members if each is not own]
        if any(each.joined < own.joined and each.acknowledged < own.joined for each in others):
            return 0
        total = min([budget, *(each.budget for each in others)])
        share, left_over = divmod(total, len(members))
        share += sum(each.joined < own.joined for each in others) < left_over
        return max(0, min(share, total - sum(each.held for each in others)))

    def beat(self, members: Sequence[Member], budget: int, share: int, out: int, now: float, *, sure: bool) -> Beat:
        """Return what to store, where ``share`` connections may be leased from now on and ``out`` are.

        ``sure`` False: others than these may be out, under leases of a manager before this one.
        """
        own = self._own(members)
        if own is None:
            return Beat(budget, is_new=True)
        alone = len(members) == 1
        if not alone:
            self._reign = None
        held = max(share, out) if sure else max(share, out, own.held)
        acknowledged = own.acknowledged
        if not alone and now >= self._caches_end:
            acknowledged = max(acknowledged, *(each.joined for each in members))
        return Beat(budget, held, acknowledged, alone)

    def stored(self, members: Sequence[Member], share: int, sent_at: float) -> None:
        """Take note that the beat was stored which was sent at that moment, and of the table as it is since then."""
        own = self._own(members)
        assert own is not None, "it has just been stored"
        self._members = tuple(members)
        self._joined, self._reign, self._share = own.joined, own.reign, share
        self._rights_end = sent_at + RIGHTS_S
        if own.reign is not None:
            self._caches_end = self._rights_end

    def lower(self, share: int) -> int:
        """Lease no more than that from now on; return what may be leased."""
        self._share = min(self._share, share)
        return self._share

    def dead(self) -> tuple[Member, ...]:
        """Return the others whose lease had run out at the last beat."""
        return tuple(each for each in self._members if each.is_dead and each.name != self._name)

    def _own(self, members: Sequence[Member]) -> Member | None:
        return next((each for each in members if each.name == self._name), None)
