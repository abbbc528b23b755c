"""What processes and the pool manager tell each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime

from actors.pool.clusters.membership import ClusterView
from actors.pool.usage import Figures


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease of ``size`` connections that bear ``lease_id`` as their name, for ``ttl_s`` from when it was asked.

    They are made within ``connect_s`` of that; later ones after asking anew.
    """

    lease_id: str
    size: int
    ttl_s: float
    connect_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is free now: ask again after ``retry_after_s``."""

    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Renewed:
    """The size of a lease from now on.

    0: it goes on, and its holder waits for its turn. ``held_s``: for how long nothing at all is leased, because the
    server is being worked on. ``scarce``: not everybody can have one, so nobody keeps what it does not use.
    ``connect_s``: as of a ``Grant``.
    """

    size: int
    held_s: float = 0.0
    scarce: bool = False
    connect_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Connections to be ended at the server: those of one lease, or of every lease but the ``known`` ones."""

    lease_id: str | None
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BudgetSnapshot:
    """The budget at one moment. ``free`` can be granted (below 0: so many are to come back), ``enforcing`` waits for
    the server."""

    total: int
    """what may be leased now: the setting, what the server has room for, or a maintenance window's"""
    free: int
    enforcing: int
    recovering: bool
    waiting: int
    """processes that have no connection and want one"""
    leases: tuple[tuple[str, str, int, int], ...] = field(default=())
    """lease id, holder, size, held"""


@dataclass(frozen=True, slots=True)
class PoolState:
    """What the manager knows: for people and for metrics."""

    budget: BudgetSnapshot
    configured: int
    server_max: int | None
    """what the server has room for, None while that is not known"""
    window_ends_at: datetime | None
    window_reason: str | None
    granted: int
    """leases since this manager started"""
    vanished: int
    """leases of processes that died"""
    enforced: int
    """leases whose connections were ended at the server"""
    figures: dict[str, Figures]
    """of each holder, as of its last renewal"""
    departed: Figures
    """the counters of those that are gone"""
    clusters: tuple[ClusterView, ...] = ()
    """all that share the database, the oldest first; none where this one shares with nobody by its setting"""
