"""Servers and levels for the tests of the second cache level."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from actors.cache.level2.journal import Journal
from actors.cache.level2.redis_level import RedisLevel
from actors.cache.level2.sealing import Sealer
from tests.support.redis_servers import TestRedis, TestRedisCluster
from tests.support.started import started

SEALER = Sealer(b"k" * 32)
# Of a machine with two busy cores. The deadline itself has tests of its own.
DEADLINE_S = 2.0

_names = itertools.count(1)

OpenLevel = Callable[..., RedisLevel]
OpenJournal = Callable[..., Journal]


@pytest.fixture(scope="session")
def shared_server() -> Iterator[TestRedis]:
    """Run one server for the tests that leave it running; each has a namespace of its own."""
    with started(TestRedis()) as server:
        yield server


@pytest.fixture
def server() -> Iterator[TestRedis]:
    """Run a server that this test may stop."""
    with started(TestRedis()) as server:
        yield server


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[TestRedisCluster]:
    """Run one cluster for the tests that leave it as it is."""
    with started(TestRedisCluster()) as cluster:
        yield cluster


@pytest.fixture
def cluster() -> Iterator[TestRedisCluster]:
    """Run a cluster that this test may change."""
    with started(TestRedisCluster()) as cluster:
        yield cluster


@pytest.fixture
async def open_level() -> AsyncIterator[OpenLevel]:
    """Return a way to open levels in a namespace of this test's own, closed at its end."""
    levels: list[RedisLevel] = []
    prefix = f"test-{next(_names)}:"

    def opened(url: str, sealer: Sealer = SEALER, **options: Any) -> RedisLevel:
        level = RedisLevel(url, sealer, **{"prefix": prefix, "deadline_s": DEADLINE_S, **options})
        levels.append(level)
        return level

    yield opened
    for level in levels:
        await level.close()


@pytest.fixture
async def open_journal() -> AsyncIterator[OpenJournal]:
    """Return a way to make journals of a name of this test's own, closed at its end."""
    journals: list[Journal] = []
    name = f"test-{next(_names)}"

    def opened(url: str, sealer: Sealer = SEALER, **options: Any) -> Journal:
        journal = Journal(url, sealer, **{"name": name, "deadline_s": DEADLINE_S, **options})
        journals.append(journal)
        return journal

    yield opened
    for journal in journals:
        await journal.close()


async def until(holds: Callable[[], Any], *, within_s: float = 10.0) -> None:
    """Wait until a condition of the outside world holds; an async one is awaited."""
    async with asyncio.timeout(within_s):
        while True:
            held = holds()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.01)
