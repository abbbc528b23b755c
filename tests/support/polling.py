"""Waits for a condition of the outside world, within a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_INTERVAL_S = 0.05


def eventually(read: Callable[[], _T], holds: Callable[[_T], bool], *, within_s: float) -> _T:
    """Read until the condition holds and return what was read; fail with the last reading after `within_s`."""
    give_up = time.monotonic() + within_s
    while True:
        found = read()
        if holds(found):
            return found
        assert time.monotonic() < give_up, f"not within {within_s} s: {found!r}"
        time.sleep(_INTERVAL_S)
