"""What a process and a cache shard say to each other. Plain tuples: they cross processes by the thousand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from actors.cache.counts import Report

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


class Notices(NamedTuple):
    """Keys that may not be served any more, up to invalidation number ``sequence``."""

    sequence: int
    keys: tuple[str, ...]


class Welcome(NamedTuple):
    """A new session: what is near under an older one is void."""

    session: int
    sequence: int


@dataclass(frozen=True, slots=True)
class ShardSnapshot:
    """The state of a shard. ``held`` counts the copies that processes may keep near, ``reports`` has what each process
    last said of its own reads, by its name. ``redis`` is whether that is used, ``redis_hits`` what was found there and
    ``redis_moves`` how often it was left because it could not be trusted. ``unapplied`` counts the writes that wait in
    its journal, None where there is none or Redis does not say; ``journal_fault`` is why that does not get on."""

    ready: bool
    entries: int
    bytes_used: int
    bound_bytes: int
    evictions: int
    sessions: int
    held: int
    changing: int
    loading: int
    reports: Mapping[str, Report]
    redis: bool = False
    redis_hits: int = 0
    redis_moves: int = 0
    unapplied: int | None = None
    journal_fault: str = ""


class NoSession(Exception):
    """The shard does not know the session: it restarted, or heard nothing for too long. Begin a new one."""
