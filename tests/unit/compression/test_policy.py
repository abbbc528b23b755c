"""A body is encoded where that is expected to gain time for its client and to cost the others less."""

from __future__ import annotations

import random
import statistics
from collections import deque
from collections.abc import Callable

import pytest

from actors.runtime.lag import INTERVAL_S, LagWindow
from serve_app.compression.accept import Accepted, read_field
from serve_app.compression.coding import CODINGS, Codec, Coding
from serve_app.compression.learnt import Expected, Learnt
from serve_app.compression.policy import (
    BUSY_LAG_MS,
    BYTES_MIN,
    IDLE_LAG_MS,
    LINK_BYTES_PER_MS,
    OFFLOAD_MS,
    OVERHEAD_MS,
    SERVICE_MS,
    TRY_EVERY,
    Policy,
    Refusal,
    price,
)

_ALL = read_field(b"gzip, br, zstd")
_GZIP = read_field(b"gzip")
_NEEDED = read_field(b"gzip, identity;q=0")
_PAGE = 10_000


def _decide(policy: Policy, size: int = _PAGE, accepted: Accepted = _ALL, lag_ms: float = 0.0) -> Coding | Refusal:
    return policy.decide("/a", size, accepted, lag_ms, thread_free=True)


def test_a_page_is_encoded_in_what_is_accepted() -> None:
    """Of all codecs the one that gains most, else what there is."""
    chosen = _decide(Policy())
    assert isinstance(chosen, Coding)
    assert chosen.codec is Codec.ZSTD
    for codec in Codec:
        only = _decide(Policy(), accepted=Accepted((codec,)))
        assert isinstance(only, Coding)
        assert only.codec is codec


def test_what_fits_into_a_packet_stays_as_it_is() -> None:
    """Up to the minimum."""
    assert _decide(Policy(), BYTES_MIN - 1) is Refusal.SMALL
    assert isinstance(_decide(Policy(), BYTES_MIN), Coding)


def test_the_level_falls_as_the_loop_gets_late_and_then_nothing_is_encoded() -> None:
    """The price of a millisecond rises with the square of what waits."""
    levels = [_decide(Policy(), 7_000, _GZIP, lag_ms) for lag_ms in (0.0, IDLE_LAG_MS, BUSY_LAG_MS - 0.01, BUSY_LAG_MS)]
    quick, small = CODINGS[Codec.GZIP]
    assert levels == [small, quick, quick, Refusal.BUSY]
    assert [price(lag_ms) for lag_ms in (0.0, SERVICE_MS, 3 * SERVICE_MS)] == pytest.approx([1, 4, 16])


def test_on_a_loop_that_is_late_a_body_gets_a_tenth_of_a_request_s_time() -> None:
    """What takes longer in any coding stays as it is."""
    late_ms = IDLE_LAG_MS + 0.01
    assert _decide(Policy(), 20_000, _ALL, late_ms) in CODINGS[Codec.ZSTD]
    assert _decide(Policy(), 60_000, _ALL, late_ms) is Refusal.BUSY
    assert isinstance(_decide(Policy(), 60_000, _ALL, IDLE_LAG_MS), Coding)


def test_a_body_that_needs_a_coding_gets_the_quickest() -> None:
    """However small it is, and however late the loop is."""
    for size, lag_ms in ((10, 0.0), (10, 50.0), (_PAGE, 50.0)):
        assert _decide(Policy(), size, _NEEDED, lag_ms) is CODINGS[Codec.GZIP][0]


def test_with_a_busy_thread_nothing_is_chosen_that_would_wait_for_it() -> None:
    """A body that takes any coding too long stays as it is."""
    policy, learnt = Policy(), Learnt()
    size = 150_000
    quick = [codings[0] for codings in CODINGS.values() if learnt.expected("/a", codings[0], size).ms <= OFFLOAD_MS]
    assert policy.decide("/a", size, _ALL, 0.0, thread_free=False) in quick
    assert policy.decide("/a", 10_000_000, _ALL, 0.0, thread_free=False) is Refusal.BUSY
    chosen = policy.decide("/a", 10_000_000, _ALL, 0.0, thread_free=True)
    assert isinstance(chosen, Coding)
    assert policy.goes_to_thread("/a", chosen, 10_000_000)
    assert not policy.goes_to_thread("/a", chosen, 10_000)


def _play(policy: Policy, route: str, truth: Callable[[Coding], Expected], bodies: int) -> list[Coding | Refusal]:
    """Return the decisions on so many bodies of a route, after each of which the policy is told what came of it."""
    decisions: list[Coding | Refusal] = []
    for _ in range(bodies):
        coding = policy.decide(route, _PAGE, _ALL, 0.0, thread_free=True)
        decisions.append(coding)
        if isinstance(coding, Coding):
            policy.observe(route, coding, _PAGE, round(truth(coding).bytes_out), truth(coding).ms)
    return decisions


def test_a_route_that_does_not_compress_is_left_alone_but_for_a_try_now_and_then() -> None:
    """Within some dozens of bodies for each coding; another route is as before."""
    policy = Policy()
    decisions = _play(policy, "/noise", lambda _: Expected(_PAGE, 0.03), 1000)
    tries = [index for index, made in enumerate(decisions) if isinstance(made, Coding) and index >= 400]
    assert all((index + 1) % TRY_EVERY == 0 for index in tries)
    assert len(tries) == 9
    assert isinstance(policy.decide("/text", _PAGE, _ALL, 0.0, thread_free=True), Coding)


def test_a_route_that_compresses_again_is_found_out() -> None:
    """By the tries."""
    policy = Policy()
    _play(policy, "/a", lambda _: Expected(_PAGE, 0.03), 500)
    decisions = _play(policy, "/a", lambda _: Expected(1_000, 0.03), 4_000)
    assert all(isinstance(made, Coding) for made in decisions[-500:])


def test_the_level_that_suits_a_route_is_found() -> None:
    """Where one is better than was measured beforehand, it is tried, and then taken."""
    policy, learnt, better = Policy(), Learnt(), CODINGS[Codec.BROTLI][2]

    def truth(coding: Coding) -> Expected:
        return Expected(100, 0.05) if coding is better else learnt.expected("/a", coding, _PAGE)

    decisions = _play(policy, "/a", truth, 3_000)
    assert decisions[0] is not better
    assert sum(made is better for made in decisions[-200:]) > 190


_Times = tuple[list[float], list[float]]
_Chooser = Callable[[float], Coding | Refusal]


def _serve(
    utilisation: float, choose: _Chooser, seed: int = 1, requests: int = 15_000, pauses: tuple[float, ...] = ()
) -> _Times:
    """Play a trace: one loop, arrivals at random, and each answer a page of 10 KB.

    Returns the milliseconds of each request for a client that is near and for one behind the link of the formula. The
    lag is what a probe of the loop would average. At each of the `pauses`, in milliseconds, the loop stands for 28.
    """
    draw, learnt, lag = random.Random(seed), Learnt(), LagWindow()
    near: list[float] = []
    far: list[float] = []
    arrival = free = next_sample = 0.0
    ahead = deque(pauses)
    for _ in range(requests):
        arrival += draw.expovariate(utilisation / SERVICE_MS)
        while ahead and ahead[0] <= arrival:
            free = max(free, ahead.popleft()) + 28.0
        while next_sample <= arrival:
            lag.add(max(0.0, free - next_sample) / 1000, next_sample / 1000)
            next_sample += INTERVAL_S * 1000
        coding = choose(lag.read(arrival / 1000).steady_s * 1000)
        came, overhead_ms = Expected(_PAGE, 0.0), 0.0
        if isinstance(coding, Coding):
            came, overhead_ms = learnt.expected("/a", coding, _PAGE), OVERHEAD_MS
        free = max(free, arrival) + draw.expovariate(1 / SERVICE_MS) + came.ms + overhead_ms
        near.append(free - arrival)
        far.append(free - arrival + came.bytes_out / LINK_BYTES_PER_MS)
    return near, far


def _adaptive(accepted: Accepted) -> _Chooser:
    policy = Policy()
    return lambda lag_ms: policy.decide("/a", _PAGE, accepted, lag_ms, thread_free=True)


@pytest.mark.parametrize(("accepted", "slower_max"), [(_ALL, 1.05), (_GZIP, 1.08)], ids=["all", "gzip"])
@pytest.mark.parametrize("utilisation", [0.9, 0.95])
def test_on_a_busy_loop_the_median_is_that_without_compression(
    utilisation: float, accepted: Accepted, slower_max: float
) -> None:
    """But for what a burst costs until the lag shows it; with gzip 6 for everybody the same trace is far slower."""
    plain_near, plain_far = _serve(utilisation, lambda _: Refusal.BUSY)
    near, far = _serve(utilisation, _adaptive(accepted))
    assert statistics.median(near) <= slower_max * statistics.median(plain_near)
    assert statistics.median(far) <= slower_max * statistics.median(plain_far)
    always, _ = _serve(utilisation, lambda _: CODINGS[Codec.GZIP][1])
    assert statistics.median(always) > 1.5 * statistics.median(plain_near)


@pytest.mark.parametrize(("utilisation", "less_ms"), [(0.1, 6), (0.4, 6), (0.5, 4)])
def test_on_an_idle_loop_a_client_that_is_far_waits_less(utilisation: float, less_ms: float) -> None:
    """By most of the 8 ms that the page takes over its link, while a near one waits for what encoding takes."""
    plain_near, plain_far = _serve(utilisation, lambda _: Refusal.BUSY)
    near, far = _serve(utilisation, _adaptive(_ALL))
    assert statistics.median(far) < statistics.median(plain_far) - less_ms
    assert statistics.median(near) < statistics.median(plain_near) + 0.15


def test_a_pause_now_and_then_does_not_stop_compression() -> None:
    """One that the probe sees costs the bodies of a sample or two; pauses in a row are a queue, and end it."""
    chosen: list[Coding | Refusal] = []
    adaptive = _adaptive(_ALL)

    def choose(lag_ms: float) -> Coding | Refusal:
        chosen.append(adaptive(lag_ms))
        return chosen[-1]

    # Just before a sample is due, every two seconds.
    _serve(0.1, choose, requests=6_000, pauses=tuple(2_000.0 * number - 0.01 for number in range(1, 15)))
    assert chosen.count(Refusal.BUSY) < 0.12 * len(chosen)
    chosen.clear()
    _serve(0.1, choose, requests=6_000, pauses=tuple(2_000 + 28.0 * number for number in range(100)))
    assert chosen.count(Refusal.BUSY) > 100
