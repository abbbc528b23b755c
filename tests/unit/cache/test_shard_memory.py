"""A shard stays within its bound with all that it keeps: values, who holds what near, what was changed lately."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_KEYS = int(os.environ.get("EASYPAY_TEST_KEYS", "250000"))
"""Seven times what fits. A million, which the bound is promised for, takes four times as long."""


@pytest.mark.parametrize(
    ("bound_bytes", "keys"),
    [(8 * 1024**2, 60_000), pytest.param(64 * 1024**2, _KEYS, marks=pytest.mark.slow)],
)
def test_the_bound_holds_for_a_process_with_a_shard(bound_bytes: int, keys: int) -> None:
    """All that it grows by at its peak, while distinct keys pass through it, is within a tenth of the bound."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.unit.cache.filled_shard", str(bound_bytes), str(keys)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ended.stdout)
    print(f"grown to {found['grown_bytes'] / bound_bytes:.1%} of {bound_bytes} bytes: {found}")
    assert 0.8 * bound_bytes < found["grown_bytes"] < 1.1 * bound_bytes
    assert 0.8 * bound_bytes < found["bytes_used"] <= bound_bytes
    # Otherwise it was no shard at work: it had values, and both processes held some near.
    assert found["entries"] * 2000 > bound_bytes
    assert found["held"] * 2000 > bound_bytes
    assert found["sessions"] == 2
