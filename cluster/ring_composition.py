"""Where the ring of cache shards is kept, for its keeper and the shards. The keeper needs nothing else."""

from __future__ import annotations

from cluster.composition import database_url
from serve_app.caching.rings import StoredRings


def cache_rings(gateway: str) -> StoredRings:
    """Return the ring of cache shards of a gateway."""
    return StoredRings(database_url, gateway)
