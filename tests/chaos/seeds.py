"""Seeds of chaos tests."""

from __future__ import annotations

import os
import random


def printed_seed() -> int:
    """Return the seed that was asked for, else one by chance, and print it."""
    seed = int(os.environ.get("EASYPAY_TEST_SEED", "0")) or random.SystemRandom().randint(1, 10**6)
    print(f"seed {seed} (repeat with EASYPAY_TEST_SEED)")
    return seed
