"""When a value expires, and who loads it anew before that."""

from __future__ import annotations

import math
import random

TTL_JITTER = 0.1
"""The part of a TTL that is drawn at random, so that what was filled together does not expire together."""
REFRESH_EAGERNESS = 1.0
"""The beta of XFetch: above 1 refreshes earlier."""


def jittered(ttl_s: float, draw: random.Random) -> float:
    """Return a time to live of 90 to 100 % of ``ttl_s``."""
    return ttl_s * (1 - TTL_JITTER * draw.random())


def refresh_is_due(remaining_s: float, load_s: float, draw: random.Random) -> bool:
    """Say whether this reader should load the value ahead of its expiry.

    The chance grows as the expiry comes near, faster for what takes long to load: optimal probabilistic early
    expiration, XFetch (Vattani, Chierichetti, Lowenstein, PVLDB 8(8), 2015).
    """
    return remaining_s < -load_s * REFRESH_EAGERNESS * math.log(1 - draw.random())
