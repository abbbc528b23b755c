"""What a process and a shard say to each other about permits. Plain tuples: a message is sent for many of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

WINDOW_S = 60.0
"""A limit is so many permits in any span of this length."""
LEASE_S = 6.0
"""How long a process may spend permits after it last asked: from when it sent that, so that the shard, which counts
from when it heard it, never believes that a lease has run out while it is used."""
TICK_S = WINDOW_S / 1200
"""Spends that are closer together than this are told, and counted, as if all were as late as the last of them."""
ASKS_MAX = 500
"""Questions in one call."""


class PermitAsk(NamedTuple):
    """One process's state of one key, and what it wants.

    ``number`` rises with every question of the process. ``spent``: pairs of how many seconds ago and how many, oldest
    first, that no answer has confirmed; ``spent_total`` counts those and all before. ``held`` are at hand and unspent.
    ``waiting`` requests need a permit now, ``ahead`` is what the process would like to have besides. ``is_minor``: its
    key is one of very many that strangers can make up, and gives way to others where there is no room.
    """

    key: str
    limit: int
    number: int
    spent_total: int
    spent: tuple[tuple[float, int], ...]
    held: int
    waiting: int
    ahead: int
    is_minor: bool = False


class PermitAnswer(NamedTuple):
    """What a process has been granted, and how the key stands.

    ``remaining`` could be granted still, to anybody; where that is 0, ``retry_in_s`` is when the next one is free.
    ``owners`` is the number of processes that have asked of late. ``life`` tells what one shard
    knows from what another, or the same after a restart, does. ``is_static``: that is not enough yet, so each process
    keeps to its static share.
    """

    number: int
    granted: int
    remaining: int
    retry_in_s: float
    owners: int
    life: str
    is_static: bool


class PermitShard(Protocol):
    """The way to the shard of some keys; it compares by identity, and leads nowhere once the keys are another's."""

    async def permits(self, asks: Sequence[PermitAsk]) -> Sequence[PermitAnswer]:
        """Ask, and return the answers in order. Safe to repeat. Raises ``ActorError``."""
        ...
