"""Zipf's law with exponent 1: the payment of rank r is used 1/r times as often as the first."""

from __future__ import annotations


def best_static(keys: int, held: int) -> float:
    """Return the part of uses that hit where the `held` most used of the keys are held for ever.

    No policy that does not know the future does better in the long run.
    Source: Breslau et al., Web caching and Zipf-like distributions, INFOCOM 1999.
    """
    return _harmonic(min(held, keys)) / _harmonic(keys)


def _harmonic(number: int) -> float:
    return sum(1 / rank for rank in range(1, number + 1))
