"""What a process and a cache shard say to each other. Plain tuples: they cross processes by the thousand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.cache.counts import Finds, Metrics
from actors.runtime.tallies import Tallies

RECORDS_MAX = 64
"""Writes that a shard takes for its journal in one call, all or none."""


class Want(NamedTuple):
    """A read of one key. ``tag``: the group that it is invalidated with and routed by. ``hold``: keep it near."""

    key: str
    tag: str | None
    hold: bool


class Hit(NamedTuple):
    """The value as of now; None: there is no such thing.

    ``sequence`` is the shard's number of invalidations when it answered. ``hold`` numbers the permission to keep the
    value near, 0 where there is none. ``refresh`` is a token for loading it anew ahead of its expiry, 0: no need.
    """

    value: bytes | None
    version: int
    ttl_s: float
    sequence: int
    hold: int
    refresh: int


class Load(NamedTuple):
    """Nothing is cached: the asker loads it and fills with this token."""

    token: int
    sequence: int
    hold: int


class Wait(NamedTuple):
    """Another process loads it under this token: ask for what it finds."""

    token: int


class Bypass(NamedTuple):
    """The cache says nothing about this key now: read the database, and keep nothing."""

    reason: str


Answer = Hit | Load | Wait | Bypass


class Fill(NamedTuple):
    """What a load found, as of after its token was given out. ``value`` None: there is no such thing."""

    key: str
    token: int
    value: bytes | None
    version: int
    ttl_s: float


class Publication(NamedTuple):
    """A key's state after a transition; ``version`` 0: the key is only invalidated."""

    key: str
    version: int
    value: bytes | None
    ttl_s: float


class Begin(NamedTuple):
    """A process is about to change these keys, and what is grouped under these tags."""

    transition: int
    keys: tuple[str, ...]
    tags: tuple[str, ...]


class Begun(NamedTuple):
    """The shard knows of a transition. ``sequence``: drop your own copies up to this number; 0: others may serve theirs
    still. ``quiet``: tags under which nothing is cached, each with the permission to count on it."""

    sequence: int
    quiet: tuple[tuple[str, int], ...]


class End(NamedTuple):
    """What became of a transition; ``certain`` False: the process does not know what was committed."""

    transition: int
    published: tuple[Publication, ...]
    certain: bool


class GiveUp(NamedTuple):
    """A load found nothing out: another reader should try."""

    key: str
    token: int


class Update(NamedTuple):
    """The new state of a key that a process held near before it changed, with the permission to hold this one.

    ``sequence`` is the shard's number of invalidations when it gave that permission.
    """

    key: str
    value: bytes | None
    version: int
    ttl_s: float
    sequence: int
    hold: int


class Notices(NamedTuple):
    """Keys that may not be served any more, up to invalidation number ``sequence``, and what some of them are now.

    What was given before number ``floor`` is void, all of it. The rest may be served near for ``near_s`` from when this
    was asked for, and no longer than the lease.
    """

    sequence: int
    keys: tuple[str, ...]
    updates: tuple[Update, ...] = ()
    floor: int = 0
    near_s: float = math.inf


class Welcome(NamedTuple):
    """A new session: what is near under an older one is void. ``near_s``: as in ``Notices``."""

    session: int
    sequence: int
    near_s: float = math.inf


@dataclass(frozen=True, slots=True)
class ShardState:
    """The state of a shard, and what it has counted since it started.

    ``held`` counts the copies that processes may keep near, ``changing`` the transitions under way, ``loading`` the
    loads. What a load found was refused ``late``: a change or its slowness had called it off, or it was told before; or
    ``outdated``: of an older version than is known. ``redis`` is whether that is used at the moment, ``redis_moves``
    how often it was left for new keys because it could not be trusted, ``hot_keys_saved`` how many keys it would have a
    successor begin with. ``unapplied`` counts the writes that wait in
    its journal, None where there is none or Redis does not say; ``journal_fault`` is why that does not get on.
    """

    ready: bool
    entries: int = 0
    bytes_used: int = 0
    bound_bytes: int = 0
    evictions: int = 0
    sessions: int = 0
    held: int = 0
    changing: int = 0
    loading: int = 0
    late_fills: int = 0
    outdated_fills: int = 0
    redis: bool = False
    redis_hits: int = 0
    redis_misses: int = 0
    redis_failures: int = 0
    redis_moves: int = 0
    hot_keys_saved: int = 0
    unapplied: int | None = None
    journal_fault: str = ""


@dataclass(frozen=True, slots=True)
class ShardSnapshot:
    """A shard's state, what processes told it of their reads and of ``tallies``, and how Redis answered it, by model.

    ``started_at`` is the time of day, in seconds of the epoch, at which all its counts were 0.
    """

    state: ShardState
    metrics: Metrics
    finds: Mapping[str, Finds] = field(default_factory=dict)
    started_at: float = 0.0
    tallies: Tallies = field(default_factory=dict)


class NoSession(Exception):
    """The shard does not know the session: it restarted, or heard nothing for too long. Begin a new one."""
