"""The root of what ends a run without a result."""

from __future__ import annotations


class BenchFailed(Exception):
    """Nothing was measured, for the reason in the text."""
