"""What is counted, where it arrives, and how long things took, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from actors.cache.client import CacheClient, Loaded
from actors.cache.counts import SERIES_MAX, Account, ModelMetrics, Report, summed
from actors.cache.messages import ShardSnapshot
from actors.cache.second_level import SecondLevel
from actors.cache.sharding.stored import shard_names
from actors.runtime.tallies import Series
from tests.unit.cache.simulated_ring import SimulatedRing
from tests.unit.cache.simulation import (
    SimulatedDatabase,
    SimulatedProcess,
    SimulatedShard,
    plain_client,
    plain_shard,
)
from tests.unit.cache.virtual_time import run_virtually

_T = TypeVar("_T")
Story = Callable[[list[SimulatedProcess], list[SimulatedShard]], Awaitable[_T]]

_TOLD_WITHIN_S = 1.0


def _play(story: Story[_T], loss: float = 0.0) -> _T:
    """Tell a story with two processes and two shards that are ready."""

    async def play() -> _T:
        random.seed(3)  # What pauses between tries are drawn from.
        draw = random.Random(3)
        ring = SimulatedRing(2, plain_shard, draw)
        database = SimulatedDatabase(draw)
        processes = [
            SimulatedProcess(f"process-{index}", ring, database, plain_client, draw, loss) for index in range(2)
        ]
        for process in processes:
            process.cache.start()
        await asyncio.sleep(3)
        return await story(processes, ring.running())

    return run_virtually(play())


async def _read(process: SimulatedProcess, key: str, took_s: float = 0.05) -> None:
    async def load() -> Loaded:
        await asyncio.sleep(took_s)
        return Loaded(b"1", 1)

    assert await process.cache.read(key, load, ttl_s=30) == b"1"


async def _snapshots(shards: list[SimulatedShard]) -> list[ShardSnapshot]:
    return [await place.shard.snapshot() for place in shards if place.shard is not None]


async def _accounts(shards: list[SimulatedShard]) -> dict[str, ModelMetrics]:
    return summed(snapshot.metrics for snapshot in await _snapshots(shards))


def _counted(processes: list[SimulatedProcess]) -> dict[str, ModelMetrics]:
    return summed(process.cache.counts for process in processes)


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_the_shards_have_what_the_processes_counted(loss: float) -> None:
    """Each count once, though three calls in ten are lost, half of them after they arrived."""

    async def story(processes: list[SimulatedProcess], shards: list[SimulatedShard]) -> None:
        for number in range(200):
            await _read(processes[number % 2], f"payment:{number % 20}")
            await _read(processes[number % 2], f"refund:{number % 20}")
        await asyncio.sleep(20 * _TOLD_WITHIN_S)
        told, counted = await _accounts(shards), _counted(processes)
        assert told.keys() == counted.keys() == {"payment", "refund"}
        assert counted["payment"].reads == 200
        for model, metrics in counted.items():
            # Sums of seconds may differ by their last digit.
            assert told[model].shard_s.total == pytest.approx(metrics.shard_s.total)
            assert told[model].shard_s.up_to([0.1, 10]) == metrics.shard_s.up_to([0.1, 10])
            assert [told[model].reads, told[model].loads, told[model].bypasses] == [
                metrics.reads,
                metrics.loads,
                metrics.bypasses,
            ]

    _play(story, loss)


def test_a_shard_that_starts_again_counts_from_nothing() -> None:
    """What processes had told it is gone with it; what they count from then on is all that they tell."""

    async def story(processes: list[SimulatedProcess], shards: list[SimulatedShard]) -> None:
        for number in range(50):
            await _read(processes[0], f"payment:{number}")
        await asyncio.sleep(_TOLD_WITHIN_S)
        before = await _snapshots(shards)
        for shard in shards:
            shard.restart(0.1)
        await asyncio.sleep(1)
        for shard in shards:
            assert shard.shard is not None
            await shard.shard.ensure_running()  # As the supervisor has it.
        await asyncio.sleep(5)
        after = await _snapshots(shards)
        assert summed(snapshot.metrics for snapshot in before)["payment"].reads == 50
        assert [snapshot.metrics for snapshot in after] == [{}, {}]
        assert all(old.started_at < new.started_at for old, new in zip(before, after, strict=True))
        for number in range(7):
            await _read(processes[0], f"payment:{number}")
        await asyncio.sleep(_TOLD_WITHIN_S)
        assert (await _accounts(shards))["payment"].reads == 7

    _play(story)


def test_a_process_that_died_stays_in_the_account() -> None:
    """What it had told does not go with it."""

    async def story(processes: list[SimulatedProcess], shards: list[SimulatedShard]) -> None:
        for number in range(50):
            await _read(processes[0], f"payment:{number}")
        await asyncio.sleep(_TOLD_WITHIN_S)
        await processes[0].die()
        await asyncio.sleep(10)
        assert (await _accounts(shards))["payment"].reads == 50

    _play(story)


def test_what_takes_time_is_measured_where_it_is_waited_for() -> None:
    """A load by its loader, bypasses too; a shard's answer by its asker; a near hit not at all."""

    async def story(processes: list[SimulatedProcess], _shards: list[SimulatedShard]) -> None:
        for _ in range(10):
            await _read(processes[0], "payment:1", took_s=0.7)
        metrics = processes[0].cache.counts["payment"]
        assert (metrics.loads, metrics.near_hits) == (1, 9)
        assert (metrics.load_s.count, metrics.shard_s.count) == (1, 1)
        assert metrics.load_s.total == pytest.approx(0.7)
        assert 0 < metrics.shard_s.total < 0.7
        await processes[0].cache.close()
        await _read(processes[0], "payment:2", took_s=0.5)
        assert metrics.bypasses == {"no session": 1}
        assert metrics.load_s.total == pytest.approx(1.2)

    _play(story)


def test_a_refresh_is_no_read() -> None:
    """It is a load that nobody waits for."""

    async def story(processes: list[SimulatedProcess], _: list[SimulatedShard]) -> None:
        # Loads of two seconds for what lives ten: refreshing begins soon.
        reads = 0
        while not (reads and processes[0].cache.counts["page"].refreshes):
            reads += 1

            async def load() -> Loaded:
                await asyncio.sleep(2)
                return Loaded(b"1", 1)

            await processes[0].cache.read("page:1", load, ttl_s=10, tag="tag:1")
            await asyncio.sleep(0.2)
        assert processes[0].cache.counts["page"].reads == reads

    _play(story)


def test_a_writer_s_wait_is_measured_once_and_only_where_it_asks_a_shard() -> None:
    """By the model of what changes; to ask again whether it has begun is no second wait."""

    async def story(processes: list[SimulatedProcess], _: list[SimulatedShard]) -> None:
        writer = processes[0].cache
        changes = 0
        while "merchant" not in writer.counts or writer.counts["merchant"].begin_s.count == changes:
            transition = writer.transition([], ["merchant:1"])  # Until it is quiet.
            await transition.begun()
            await transition.end()
            changes += 1
        assert writer.counts["merchant"].begin_s.count == changes - 1
        transition = writer.transition(["payment:1"], ["merchant:1"])
        await transition.begun()
        await transition.begun()
        await transition.end()
        assert writer.counts["payment"].begin_s.count == 1
        assert writer.counts["payment"].begin_s.total > 0

    _play(story)


def test_what_a_process_has_no_room_for_is_counted() -> None:
    """By its model."""

    async def story(processes: list[SimulatedProcess], _: list[SimulatedShard]) -> None:
        small = CacheClient(
            processes[0].port, "small", shards=shard_names(2), near_bytes=20_000, clock=asyncio.get_running_loop().time
        )
        small.start()
        await asyncio.sleep(1)

        async def load() -> Loaded:
            return Loaded(b"x" * 1000, 1)

        for number in range(50):
            await small.read(f"payment:{number}", load, ttl_s=30)
        kept = sum(small.peek(f"payment:{number}") is not None for number in range(50))
        assert 0 < kept < 20
        assert small.counts["payment"].near_evictions == 50 - kept

    _play(story)


def test_a_shard_counts_what_it_refuses() -> None:
    """A fill that a change has overtaken."""

    async def story(processes: list[SimulatedProcess], shards: list[SimulatedShard]) -> None:
        reading = asyncio.ensure_future(_read(processes[0], "payment:1", took_s=1))
        await asyncio.sleep(0.5)
        transition = processes[1].cache.transition(["payment:1"])
        await transition.begun()
        await transition.end()
        await reading
        await asyncio.sleep(0.5)
        states = [snapshot.state for snapshot in await _snapshots(shards)]
        assert sum(state.late_fills for state in states) == 1
        assert sum(state.outdated_fills for state in states) == 0

    _play(story)


def test_what_redis_answers_is_counted_by_model() -> None:
    """A key that it has, one that it has not, and one for which it was away; what no reader waits for is not."""

    async def story(_: list[SimulatedProcess], shards: list[SimulatedShard]) -> None:
        place = shards[0]
        redis = place.redis
        clock = asyncio.get_running_loop().time
        second = SecondLevel(
            redis, place, prefix=lambda epoch: f"{epoch.namespace}:", now=clock, clock=clock, settled_after_s=0
        )
        await second.open(await place.take())
        running = asyncio.ensure_future(second.run())
        second.keep("payment:1", 1, 1, b"1", 60)
        await asyncio.sleep(1)
        assert set(await second.find(["payment:1", "payment:2", "refund:1"])) == {"payment:1"}
        assert set(await second.fetch(["payment:1"])) == {"payment:1"}
        redis.is_away = True
        assert await second.find(["payment:1"]) == {}
        running.cancel()
        found = {
            model: (finds.hits, finds.misses, finds.failures, finds.find_s.count)
            for model, finds in second.finds.items()
        }
        assert found == {"payment": (1, 1, 1, 3), "refund": (0, 1, 0, 1)}
        assert second.finds["payment"].find_s.total > 0

    _play(story)


def test_shards_have_the_sum_of_what_all_processes_tally() -> None:
    """Whoever asks; one that has ended stays in it with all that it counted, and a new series comes with 0."""

    async def story(processes: list[SimulatedProcess], shards: list[SimulatedShard]) -> None:
        admitted, refused = Series("requests", ("admitted",)), Series("requests", ("refused",))
        counts = [{admitted: 0.0, refused: 0.0} for _ in processes]
        for process, tallies in zip(processes, counts, strict=True):
            process.cache.tell_of(lambda tallies=tallies: tallies)  # type: ignore[misc]
        await asyncio.sleep(_TOLD_WITHIN_S)
        assert await _tallies(shards) == {admitted: 0, refused: 0}
        for _ in range(5):
            counts[0][admitted] += 3
            counts[1][admitted] += 0.5
            await asyncio.sleep(_TOLD_WITHIN_S)
        assert await _tallies(shards) == {admitted: 17.5, refused: 0}
        counts[0][admitted] += 100
        await processes[0].cache.close()
        assert await _tallies(shards) == {admitted: 117.5, refused: 0}

    _play(story)


def test_an_account_has_so_many_series_and_no_more() -> None:
    """A defect that made up labels would cost the shard no memory without end."""
    account = Account()
    account.take("a", Report(1, {}, {Series("x", (str(number),)): 1 for number in range(SERIES_MAX + 5)}))
    account.take("a", Report(2, {}, {Series("x", ("0",)): 1}))
    assert (len(account.tallies), account.tallies[Series("x", ("0",))]) == (SERIES_MAX, 2)


async def _tallies(shards: list[SimulatedShard]) -> dict[Series, float]:
    total: dict[Series, float] = {}
    for snapshot in await _snapshots(shards):
        for series, count in snapshot.tallies.items():
            total[series] = total.get(series, 0) + count
    return total
