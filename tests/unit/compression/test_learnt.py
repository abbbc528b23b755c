"""Expectations start from what was measured and follow what a route shows."""

from __future__ import annotations

import pytest

from serve_app.compression.coding import CODINGS, Codec
from serve_app.compression.learnt import SLOWER_MAX, WEIGHT, Expected, Learnt

_ZSTD, _ZSTD_3 = CODINGS[Codec.ZSTD]


def test_what_is_measured_beforehand_is_near_the_benchmark() -> None:
    """A page of 10,312 bytes came to 1,853 in 0.019 to 0.029 ms."""
    expected = Learnt().expected("/a", _ZSTD, 10_312)
    assert expected.bytes_out == pytest.approx(1_853, rel=0.05)
    assert 0.019 <= expected.ms <= 0.029


def test_a_route_s_bodies_correct_it_for_that_route_and_coding() -> None:
    """At every size; other routes and codings keep theirs."""
    learnt = Learnt()
    before = learnt.expected("/a", _ZSTD, 50_000)
    for _ in range(100):
        learnt.observe("/a", _ZSTD, 50_000, Expected(before.bytes_out * 2, before.ms * 3))
    after = learnt.expected("/a", _ZSTD, 50_000)
    assert (after.bytes_out, after.ms) == pytest.approx((before.bytes_out * 2, before.ms * 3), rel=1e-6)
    fresh = Learnt()
    twice = fresh.expected("/a", _ZSTD, 20_000).bytes_out * 2
    assert learnt.expected("/a", _ZSTD, 20_000).bytes_out == pytest.approx(twice)
    assert learnt.expected("/a", _ZSTD_3, 50_000) == fresh.expected("/a", _ZSTD_3, 50_000)
    assert learnt.expected("/b", _ZSTD, 50_000) == before
    assert (learnt.seen("/a", _ZSTD), learnt.seen("/a", _ZSTD_3), learnt.seen("/b", _ZSTD)) == (100, 0, 0)


def test_no_body_is_expected_to_grow() -> None:
    """One that does not become smaller is sent as it is."""
    learnt = Learnt()
    for _ in range(50):
        learnt.observe("/a", _ZSTD, 10_000, Expected(10_050, 0.02))
    assert learnt.expected("/a", _ZSTD, 10_000).bytes_out == 10_000
    assert Learnt().expected("/a", _ZSTD, 100).bytes_out == 100


def test_one_slow_body_counts_for_no_more_than_the_bound() -> None:
    """A first use, or a processor that was taken away."""
    learnt = Learnt()
    before = learnt.expected("/a", _ZSTD, 10_000)
    learnt.observe("/a", _ZSTD, 10_000, Expected(before.bytes_out, 1_000.0))
    assert learnt.expected("/a", _ZSTD, 10_000).ms == pytest.approx(before.ms * (1 + WEIGHT * (SLOWER_MAX - 1)))
