"""A Redis Cluster whose nodes end and whose slots move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis.crc import key_slot

from actors.cache.level2.node import ServerRestarted
from actors.cache.level2.redis_level import Found, Put, RedisLevel
from actors.runtime.errors import Unavailable
from tests.integration.cache_level2.conftest import OpenLevel, until
from tests.support.redis_servers import TestRedis, TestRedisCluster


def _keys_by_node(cluster: TestRedisCluster, level: RedisLevel) -> list[list[str]]:
    """Return ten keys of each node."""
    keys: list[list[str]] = [[], [], []]
    number = 0
    while min(map(len, keys)) < 10:
        number += 1
        of_node = keys[cluster.nodes.index(cluster.node_of(f"{level.prefix}key-{number}"))]
        if len(of_node) < 10:
            of_node.append(f"key-{number}")
    return keys


def _puts(keys: list[str], stamp: int = 1) -> list[Put]:
    return [Put(key, stamp, 1, key.encode(), 600.0) for key in keys]


def _found(keys: list[str], stamp: int = 1) -> dict[str, Found]:
    return {key: Found(stamp, 1, key.encode()) for key in keys}


async def _puts_all(level: RedisLevel, keys: list[str], stamp: int) -> bool:
    try:
        return all(await level.put(_puts(keys, stamp)))
    except Unavailable:
        return False


async def test_a_node_that_was_killed_takes_its_own_keys_away(cluster: TestRedisCluster, open_level: OpenLevel) -> None:
    """Its keys alone raise; mixed reads and puts do without them; a mixed mark raises. It comes back by itself."""
    level = open_level(cluster.url)
    lost, kept, more = _keys_by_node(cluster, level)
    assert all(await level.put(_puts(lost + kept + more)))
    await asyncio.to_thread(cluster.nodes[0].kill)  # The one of the URL.
    for _ in range(10):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await level.get(lost)
        assert await level.get(lost + kept) == _found(kept)
        assert await level.put(_puts(lost + kept)) == [False] * 10 + [True] * 10
        with pytest.raises(Unavailable):
            await level.mark([(key, 0) for key in [lost[0], more[0]]])
        await level.mark(
            [("unrelated", 1)] if cluster.node_of(f"{level.prefix}unrelated") is not cluster.nodes[0] else []
        )
        assert time.monotonic() - began < 1.5
    with pytest.raises(Unavailable):
        await level.identity()
    # The cluster itself finds out after a second; the others' keys are served on.
    cluster.wait_for(cluster.nodes[1], "ok", slots_ok=16_384 * 2 // 3 + 1)
    assert await level.get(kept + more) == _found(kept + more[1:])
    await asyncio.to_thread(cluster.nodes[0].start)
    await until(lambda: _puts_all(level, lost, 2), within_s=20)
    assert await level.get(lost) == _found(lost, 2)


async def test_a_frozen_node_delays_nobody_for_long(cluster: TestRedisCluster, open_level: OpenLevel) -> None:
    """Two mixed calls wait out their deadline and return the rest; then its breaker is open."""
    level = open_level(cluster.url, deadline_s=0.25)
    lost, kept, _ = _keys_by_node(cluster, level)
    assert all(await level.put(_puts(lost + kept)))
    cluster.nodes[0].pause()
    try:
        for _ in range(2):
            assert await level.get(lost + kept) == _found(kept)
        began = time.monotonic()
        assert await level.get(lost + kept) == _found(kept)
        assert time.monotonic() - began < 0.2
    finally:
        cluster.nodes[0].resume()
    await until(lambda: _puts_all(level, lost, 2))


async def test_a_node_that_restarted_is_not_believed(cluster: TestRedisCluster, open_level: OpenLevel) -> None:
    """Until the identity, which has changed, was read again; the keys of the others are served meanwhile."""
    level = open_level(cluster.url)
    doubted, kept, _ = _keys_by_node(cluster, level)
    before = await level.identity()
    assert before.count(",") == 2
    assert all(await level.put(_puts(doubted + kept)))
    await asyncio.to_thread(cluster.nodes[0].stop)
    await asyncio.to_thread(cluster.nodes[0].start)
    cluster.wait_for(cluster.nodes[0], "ok")
    with pytest.raises(ServerRestarted):
        await level.get(doubted)
    assert await level.get(doubted + kept) == _found(kept)
    assert await level.identity() != before
    assert await level.get(doubted) == _found(doubted)  # From its snapshot: the caller had a new namespace to choose.


async def test_an_identity_that_was_read_in_part_changes_nothing(
    cluster: TestRedisCluster, open_level: OpenLevel
) -> None:
    """A node that restarted is not believed because the question for all failed at another one."""
    level = open_level(cluster.url)
    doubted, _, kept = _keys_by_node(cluster, level)
    await level.identity()
    assert all(await level.put(_puts(doubted + kept)))
    await asyncio.to_thread(cluster.nodes[0].stop)
    await asyncio.to_thread(cluster.nodes[0].start)
    cluster.wait_for(cluster.nodes[0], "ok")
    await asyncio.to_thread(cluster.nodes[1].kill)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await level.identity()
        with pytest.raises(ServerRestarted):
            await level.get(doubted)
        assert await level.get(kept) == _found(kept)


@contextmanager
def _slot_on_its_way(cluster: TestRedisCluster, slot: int, source: TestRedis, target: TestRedis) -> Iterator[None]:
    """Leave the move of a slot half done for the body, then end it."""
    ids = {node: node.ask("CLUSTER", "MYID").decode() for node in cluster.nodes}
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)
    if keys:
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    yield
    for node in (target, source, *cluster.nodes):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


async def test_a_slot_that_moves_is_followed(cluster: TestRedisCluster, open_level: OpenLevel) -> None:
    """While it moves and afterwards, without a call that fails."""
    level = open_level(cluster.url)
    moved, kept, more = _keys_by_node(cluster, level)
    everything = moved + kept + more
    assert all(await level.put(_puts(everything)))
    slot = key_slot(f"{level.prefix}{moved[0]}".encode())
    with _slot_on_its_way(cluster, slot, cluster.nodes[0], cluster.nodes[1]):
        assert await level.get(everything) == _found(everything)
        assert await level.put(_puts(moved, 2)) == [True] * len(moved)
    assert await level.get(everything) == {**_found(everything), **_found(moved, 2)}
    await level.mark([(key, 2) for key in everything])
    assert await level.get(everything) == {}


async def test_calls_at_once_stay_within_their_connections(
    shared_cluster: TestRedisCluster, open_level: OpenLevel
) -> None:
    """Two to each node, and redis-py's one for the map of slots."""
    level = open_level(shared_cluster.url, pool_size=2)
    keys = [key for of_node in _keys_by_node(shared_cluster, level) for key in of_node]
    before = [int(node.ask("INFO", "clients")["connected_clients"]) for node in shared_cluster.nodes]
    await level.put(_puts(keys))
    outcomes = await asyncio.gather(*(level.get(keys) for _ in range(200)))
    assert all(outcome == _found(keys) for outcome in outcomes)
    after = [int(node.ask("INFO", "clients")["connected_clients"]) for node in shared_cluster.nodes]
    assert all(now - then <= 3 for now, then in zip(after, before, strict=True))
