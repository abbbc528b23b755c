"""Sizes of the cache, as parts of all payments, and the settings that make them."""

from __future__ import annotations

from dataclasses import dataclass
from sys import getsizeof
from uuid import UUID

from actors.cache.store.bounded import ENTRY_OVERHEAD_BYTES
from serve_app.attempts.rows import PaymentKey
from serve_app.caching.models import payment_name

BYTES_MIN = 1024 * 1024
SHARDS = 2
# As by default: 64 MiB near, and two shards of 128 MiB.
NEAR_PART = 1 / 4
# The sketch of uses takes the rest of the bound.
_ENTRIES_PART = 31 / 32


@dataclass(frozen=True, slots=True)
class CacheSize:
    """Hold the settings of one size, and how many payments then fit into all shards, and into each near cache."""

    wanted_share: float
    shards: int
    shard_bytes: int
    near_bytes: int
    held: int
    near_held: int

    def environment(self) -> dict[str, str]:
        """Return the settings as the gateway reads them."""
        return {
            "CACHE_SHARDS": str(self.shards),
            "CACHE_SHARD_BYTES": str(self.shard_bytes),
            "NEAR_CACHE_BYTES": str(self.near_bytes),
        }


def entry_bytes(json_bytes: int) -> int:
    """Return what a payment of so many bytes of JSON costs in a cache."""
    name = payment_name(PaymentKey(UUID(int=0), False, UUID(int=0)))
    return json_bytes + getsizeof(name) + ENTRY_OVERHEAD_BYTES


def size_for(share: float, payments: int, each_bytes: int) -> CacheSize:
    """Return the size at which the shards hold this share of the payments, or the smallest that is allowed.

    Where two shards would each be under the minimum it is one.
    """
    total = round(share * payments * each_bytes / _ENTRIES_PART)
    shards = SHARDS if total >= SHARDS * BYTES_MIN else 1
    shard_bytes = max(BYTES_MIN, total // shards)
    near_bytes = max(BYTES_MIN, round(total * NEAR_PART))
    return CacheSize(
        wanted_share=share,
        shards=shards,
        shard_bytes=shard_bytes,
        near_bytes=near_bytes,
        held=_fitting(shards * shard_bytes, each_bytes),
        near_held=_fitting(near_bytes, each_bytes),
    )


def _fitting(bound_bytes: int, each_bytes: int) -> int:
    return int(bound_bytes * _ENTRIES_PART / each_bytes)
