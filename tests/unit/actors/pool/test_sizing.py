"""How many connections a load needs, and how the size follows it."""

from __future__ import annotations

import math
import random

import pytest

from actors.pool.sizing import IDLE_S, KEEP_S, SCARCE_IDLE_S, WAIT_PART, WAIT_TARGET_S, Load, Sizer, servers_needed

MOST = 50


def load(rate: float, *, service_s: float = 0.01, busy: float = 0.0, wait_s: float = 0.0, waiting: int = 0) -> Load:
    return Load(rate, service_s, busy, wait_s, waiting)


@pytest.mark.parametrize(
    ("offered", "wait_s", "expected"),
    # P(W > 0) by Erlang's C: of 4 servers at 2 Erlang 0.174, of 6 0.024, of 7 0.008; of 20 at 10 Erlang 0.004.
    [(2.0, 0.0, 7), (10.0, 0.0, 19), (0.5, 0.0, 4), (0.0, 0.0, 0)],
)
def test_the_formula(offered: float, wait_s: float, expected: int) -> None:
    """The fewest servers with which one in a hundred has to wait."""
    assert servers_needed(offered * 100, 0.01, wait_s=wait_s, part=0.01, most=MOST) == expected


@pytest.mark.parametrize("offered", [0.2, 1.0, 4.0, 12.0])
def test_the_formula_against_a_simulated_line(offered: float) -> None:
    """About one in a hundred waits longer than the target at most, and with two servers less more do."""
    service_s = 0.01
    rate = offered / service_s
    needed = servers_needed(rate, service_s, wait_s=WAIT_TARGET_S, part=WAIT_PART, most=MOST)
    assert late_part(rate, service_s, needed) < 1.5 * WAIT_PART
    if needed > 2:
        assert late_part(rate, service_s, needed - 2) > WAIT_PART


def late_part(rate: float, service_s: float, servers: int, count: int = 20_000) -> float:
    """Return the part of simulated callers that wait longer than the target."""
    draw = random.Random(1)
    free_at = [0.0] * servers
    now, late = 0.0, 0
    for _ in range(count):
        now += draw.expovariate(rate)
        first = min(range(servers), key=free_at.__getitem__)
        began = max(now, free_at[first])
        late += began - now > WAIT_TARGET_S
        free_at[first] = began + draw.expovariate(1 / service_s)
    return late / count


def test_it_is_square_root_staffing_for_much_load() -> None:
    """What is needed beyond the load grows with its root."""
    beyond = [
        (servers_needed(a * 100, 0.01, wait_s=0.0, part=0.01, most=5000) - a) / math.sqrt(a) for a in (25, 100, 400)
    ]
    assert max(beyond) - min(beyond) < 0.35, beyond


def test_it_starts_with_the_most_and_comes_down_slowly() -> None:
    """By a quarter at a step, and by no more than a step in five seconds."""
    sizer = Sizer(1, 8)
    sizes = [sizer.observe(load(10.0), float(second)) for second in range(41)]
    assert sizes[0] == 8
    assert sizes[int(KEEP_S)] == 6
    assert sorted(sizes, reverse=True) == sizes
    assert sizes[-1] == 2


def test_it_grows_at_once() -> None:
    """By the formula where the load says so, and by half where callers wait whatever the formula says."""
    sizer = Sizer(1, 40)
    for second in range(120):
        sizer.observe(load(10.0), float(second))
    small = sizer.want
    assert small <= 2
    assert sizer.observe(load(800.0), 121.0) > 8
    small = sizer.want
    assert sizer.observe(load(10.0, wait_s=0.02, waiting=3), 122.0) == small + small // 2


def test_it_keeps_what_a_burst_needed() -> None:
    """For five seconds."""
    sizer = Sizer(1, 40)
    for second in range(120):
        sizer.observe(load(10.0), float(second))
    burst = sizer.observe(load(800.0), 121.0)
    assert sizer.observe(load(10.0), 121.0 + KEEP_S - 0.1) == burst
    assert sizer.observe(load(10.0), 121.0 + KEEP_S + 0.1) < burst


def test_without_use_it_wants_nothing() -> None:
    """After ten seconds, and something again at once."""
    sizer = Sizer(2, 8)
    sizer.observe(load(1.0), 0.0)
    assert sizer.observe(load(0.0), IDLE_S - 1) >= 2
    assert sizer.observe(load(0.0), IDLE_S) == 0
    assert sizer.observe(load(1.0, waiting=1), IDLE_S + 1) >= 2


def test_what_is_scarce_is_not_kept_without_use() -> None:
    """For half a second only."""
    sizer = Sizer(2, 8)
    sizer.observe(load(1.0), 0.0)
    assert sizer.observe(load(0.0), SCARCE_IDLE_S) >= 2
    assert sizer.observe(load(1.0), 1.0, scarce=True) >= 2
    assert sizer.observe(load(0.0), 1.0 + SCARCE_IDLE_S - 0.1, scarce=True) >= 2
    assert sizer.observe(load(0.0), 1.0 + SCARCE_IDLE_S, scarce=True) == 0


def test_it_never_leaves_its_bounds() -> None:
    """However large the load or the waits."""
    sizer = Sizer(2, 8)
    assert sizer.observe(load(1e6, wait_s=9.0), 0.0) == 8
    assert {sizer.observe(load(0.1), float(second)) for second in range(1, 100)} == {8, 6, 5, 4, 3, 2}
