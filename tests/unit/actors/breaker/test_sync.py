"""A process and the board come to agree, and a process without a board goes on by itself."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

from actors.breaker.board import BreakerBoard
from actors.breaker.client import BreakerSync
from actors.breaker.local import ProcessBreakers
from actors.breaker.messages import Sync, SyncAnswer
from actors.runtime.breaker import Breaker, BreakerPolicy, State
from actors.runtime.errors import Unavailable

_POLICY = BreakerPolicy(failures_max=3)
_NAME = "processor:simulator"
_WALL = datetime(2026, 1, 1, tzinfo=UTC)


class Cluster:
    """A board and processes on one clock; the board can be away, or lose an answer on its way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.board: BreakerBoard | None = BreakerBoard("first")
        self.asked = asyncio.Event()
        self.loses_answer = False
        self.syncs = 0

    async def sync(self, sync: Sync) -> SyncAnswer:
        self.asked.set()
        self.syncs += 1
        if self.board is None:
            raise Unavailable("breakers", "away", 1.0)
        answer, _ = self.board.sync(sync, self.now, _WALL)
        if self.loses_answer:
            raise Unavailable("breakers", "lost", 1.0)
        return answer

    def join(self, name: str, **options: float) -> tuple[Breaker, BreakerSync]:
        breakers = ProcessBreakers(name, random.Random(name))
        breaker = breakers.add(_NAME, _POLICY)
        return breaker, BreakerSync(breakers, self, clock=lambda: self.now, **options)


def _open(breaker: Breaker, now: float) -> None:
    for _ in range(_POLICY.failures_max):
        ticket = breaker.ask(now)
        assert ticket is not None
        breaker.failed(ticket, now)


def _probe(breaker: Breaker, now: float) -> None:
    ticket = breaker.ask(now)
    assert ticket is not None
    breaker.succeeded(ticket, now)


async def test_what_one_found_out_the_other_adopts() -> None:
    """Open with what is left of the pause, and closed when a probe of any of them succeeded."""
    cluster = Cluster()
    (one, one_sync), (two, two_sync) = cluster.join("one"), cluster.join("two")
    await two_sync.once()
    _open(one, 0.0)
    await one_sync.once()
    await two_sync.once()
    assert two.state is State.OPEN
    assert two.retry_after_s(0.0) == one.retry_after_s(0.0)
    cluster.now = 1.0
    _probe(two, 1.0)
    await two_sync.once()
    await one_sync.once()
    assert one.state is State.CLOSED


async def test_a_failed_probe_of_one_prolongs_it_for_all_once() -> None:
    """Two that probe at the same time and fail double the pause once, not twice."""
    cluster = Cluster()
    (one, one_sync), (two, two_sync) = cluster.join("one"), cluster.join("two")
    _open(one, 0.0)
    for sync in (one_sync, two_sync):
        await sync.once()
    cluster.now = 1.0
    for breaker in (one, two):
        ticket = breaker.ask(1.0)
        assert ticket is not None
        breaker.failed(ticket, 1.0)
    for sync in (one_sync, two_sync, one_sync):
        await sync.once()
    assert one.pause_s == two.pause_s == 2 * _POLICY.pause_min_s
    assert one.retry_after_s(1.0) == two.retry_after_s(1.0)


async def test_a_decision_during_a_call_is_not_lost() -> None:
    """The answer is to what was sent; what was decided meanwhile is told next."""
    cluster = Cluster()
    breakers = ProcessBreakers("one", random.Random(0))
    breaker = breakers.add(_NAME, _POLICY)
    _open(breaker, 0.0)
    sync, sent = breakers.sync(0.0)
    _probe(breaker, 1.0)
    breakers.take(await cluster.sync(sync), sent, 1.0)
    assert breaker.state is State.CLOSED
    (report,) = breakers.sync(1.0)[0].reports
    assert (report.is_new, report.ruling.is_open) == (True, False)


async def test_an_answer_that_says_nothing_new_changes_nothing() -> None:
    """What was decided while it was on its way stands, and is told next."""
    cluster = Cluster()
    breakers = ProcessBreakers("one", random.Random(0))
    breaker = breakers.add(_NAME, _POLICY)
    await BreakerSync(breakers, cluster, clock=lambda: cluster.now).once()
    sync, sent = breakers.sync(0.0)
    answer = await cluster.sync(sync)
    _open(breaker, 0.0)
    breakers.take(answer, sent, 0.0)
    assert breaker.state is State.OPEN
    (report,) = breakers.sync(0.0)[0].reports
    assert report.is_new


async def test_a_lost_answer_does_no_harm() -> None:
    """What was taken is heard with the next call."""
    cluster = Cluster()
    one, sync = cluster.join("one")
    await sync.once()
    _open(one, 0.0)
    cluster.loses_answer = True
    try:
        await sync.once()
    except Unavailable:
        cluster.loses_answer = False
    await sync.once()
    assert not cluster.loses_answer
    assert one.state is State.OPEN
    cluster.now = 1.0
    _probe(one, 1.0)
    await sync.once()
    assert cluster.board is not None
    assert cluster.board.views(1.0, _WALL)[0].state is State.CLOSED


async def test_a_new_board_learns_what_is_open_and_what_is_forced() -> None:
    """From the processes; a process that is new itself hears it."""
    cluster = Cluster()
    one, one_sync = cluster.join("one")
    await one_sync.once()
    assert cluster.board is not None
    cluster.board.force(_NAME, State.OPEN, "key_1", 0.0, _WALL)
    await one_sync.once()
    forced = one.forced
    assert forced is State.OPEN
    cluster.board = BreakerBoard("second")
    two, two_sync = cluster.join("two")
    await one_sync.once()
    await two_sync.once()
    assert (one.forced, two.forced) == (State.OPEN, State.OPEN)
    cluster.board.force(_NAME, None, "key_1", 0.0, _WALL)
    await one_sync.once()
    await two_sync.once()
    assert one.forced is two.forced is None
    assert one.state is two.state is State.OPEN
    assert one.ask(0.0) is not None


async def test_without_a_board_each_decides_alone() -> None:
    """It opens and closes as ever, the loop goes on asking, and what was decided is told when the board is back."""
    cluster = Cluster()
    cluster.board = None
    one, sync = cluster.join("one", every_s=0.001)
    sync.start()
    await cluster.asked.wait()
    _open(one, 0.0)
    assert one.ask(0.0) is None
    cluster.asked.clear()
    await cluster.asked.wait()
    assert one.state is State.OPEN
    board = cluster.board = BreakerBoard("first")
    async with asyncio.timeout(5):
        while not board.views(0.0, _WALL) or board.views(0.0, _WALL)[0].state is not State.OPEN:
            cluster.asked.clear()
            await cluster.asked.wait()
    await sync.close()


async def test_news_is_told_at_once() -> None:
    """Not with the next turn, which would come in an hour."""
    cluster = Cluster()
    one, sync = cluster.join("one", every_s=3600.0)
    sync.start()
    await cluster.asked.wait()
    cluster.asked.clear()
    _open(one, 0.0)
    async with asyncio.timeout(5):
        await cluster.asked.wait()
    await sync.close()


async def test_breakers_of_nodes_are_shown_and_can_be_forced() -> None:
    """They are not told to adopt what others see."""

    class Nodes:
        state = State.OPEN
        forced: State | None = None

        def look(self, now: float) -> tuple[State, int, int]:
            return self.forced or self.state, 10, 5

        def force(self, forced: State | None) -> None:
            self.forced = forced

    cluster, nodes = Cluster(), Nodes()
    breakers = ProcessBreakers("shard", random.Random(0))
    breakers.show("redis", nodes)
    sync = BreakerSync(breakers, cluster, clock=lambda: cluster.now)
    await sync.once()
    assert cluster.board is not None
    (view,) = cluster.board.views(0.0, _WALL)
    assert (view.name, view.state, view.calls, view.failures) == ("redis", State.OPEN, 10, 5)
    for forced in (State.CLOSED, None):
        cluster.board.force("redis", forced, "key_1", 0.0, _WALL)
        await sync.once()
        assert nodes.forced is forced
