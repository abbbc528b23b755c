"""The routes of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actors.cache.counts import Reporter, Untold
from actors.cache.link import RingChanged, ShardLink
from actors.cache.messages import Begin, Begun, End, Notices, Welcome
from actors.cache.quiet import QuietTags
from actors.cache.sharding.routes import Routes
from actors.cache.sharding.stored import RingVersion, shard_names
from actors.cache.transition import Transition
from actors.runtime.errors import Unavailable
from actors.runtime.histogram import Histogram
from tests.unit.cache.virtual_time import run_virtually

_KEYS = tuple(f"payment:{number}" for number in range(20))


class _Cluster:
    """Shards that serve one version of the ring, and note what they are told."""

    def __init__(self, ring: RingVersion) -> None:
        self.ring = ring
        self.is_away = False
        self.sessions = 0
        self.begun: list[tuple[str, Begin]] = []
        self.ended: list[tuple[str, End]] = []
        self.routes = Routes(shard_names(2), lambda name: _Port(self, name), self._link)  # type: ignore[arg-type, return-value]

    def _link(self, name: str, port: Any, ring: RingVersion) -> ShardLink:
        return ShardLink(
            name,
            port,
            "process",
            ring.number,
            clock=asyncio.get_running_loop().time,
            lease_s=2.0,
            moved=lambda found: self.routes.follow(found),
            applied=lambda _: (),
            updated=lambda *_: None,
            granted=lambda *_: None,
            reporter=Reporter(Untold({})),
        )

    def transition(self) -> Transition:
        return Transition(self.routes, _KEYS, (), QuietTags(), asyncio.get_running_loop().time, Histogram())


class _Port:
    def __init__(self, cluster: _Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name

    async def open_session(self, _: str, ring: int) -> Welcome | RingVersion:
        await asyncio.sleep(0.001)
        if self._cluster.is_away:
            raise Unavailable(self._name, "is away", 1.0)
        if ring != self._cluster.ring.number:
            return self._cluster.ring
        self._cluster.sessions += 1
        return Welcome(self._cluster.sessions, 0)

    async def listen(self, _: int, acknowledged: int, *__: object) -> Notices:
        await asyncio.sleep(0.4)
        return Notices(acknowledged, ())

    async def begin(self, _: int, beginnings: list[Begin]) -> list[Begun]:
        await asyncio.sleep(0.001)
        self._cluster.begun += [(self._name, begin) for begin in beginnings]
        return [Begun(1, ()) for _ in beginnings]

    async def tell(self, _: int, messages: list[End]) -> None:
        self._cluster.ended += [(self._name, message) for message in messages]

    def close(self) -> None:
        """Nothing is open."""


def _play(story: Callable[[_Cluster], Awaitable[None]]) -> None:
    async def play() -> None:
        cluster = _Cluster(RingVersion(7, shard_names(2)))
        cluster.routes.start()
        await story(cluster)
        await cluster.routes.close()

    run_virtually(play())


def _registered(cluster: _Cluster) -> set[tuple[str, str]]:
    return {(name, key) for name, begin in cluster.begun for key in begin.keys}


def _owned(cluster: _Cluster) -> set[tuple[str, str]]:
    return {(cluster.routes.owner(key).name, key) for key in _KEYS}


def test_a_process_that_knows_no_ring_hears_of_it() -> None:
    """From whichever shard answers first; what was begun before that is routed by it."""

    async def story(cluster: _Cluster) -> None:
        cluster.ring = RingVersion(9, shard_names(3))
        transition = cluster.transition()
        await transition.begun()
        assert cluster.routes.version == 9
        assert [link.name for link in cluster.routes.links] == list(shard_names(3))
        assert _registered(cluster) == _owned(cluster)
        await transition.end()

    _play(story)


def test_a_change_that_waits_for_a_shard_that_goes_is_routed_anew() -> None:
    """It does not wait until its time is over."""

    async def story(cluster: _Cluster) -> None:
        cluster.is_away = True
        waiting = asyncio.ensure_future(cluster.transition().begun())
        await asyncio.sleep(5)
        assert not waiting.done()
        cluster.is_away = False
        cluster.ring = RingVersion(8, shard_names(1))
        cluster.routes.follow(cluster.ring)
        began = asyncio.get_running_loop().time()
        await waiting
        assert asyncio.get_running_loop().time() - began < 1
        assert _registered(cluster) == {("cache-shard-0", key) for key in _KEYS}

    _play(story)


def test_a_change_that_was_begun_under_a_ring_that_is_gone_is_registered_before_it_ends() -> None:
    """With each of the new owners: by then they may have cached what was before the commit."""

    async def story(cluster: _Cluster) -> None:
        transition = cluster.transition()
        await transition.begun()
        cluster.begun.clear()
        cluster.ring = RingVersion(8, shard_names(3))
        cluster.routes.follow(cluster.ring)
        await transition.end()
        assert _registered(cluster) == _owned(cluster)
        await asyncio.sleep(0.1)
        assert {name for name, _ in cluster.ended} == {name for name, _ in _owned(cluster)}

    _play(story)


def test_sessions_end_with_their_ring() -> None:
    """What is held under them is not served; older rings are not followed."""

    async def story(cluster: _Cluster) -> None:
        await cluster.transition().begun()
        links = cluster.routes.links
        sessions = [await link.session() for link in links]
        cluster.ring = RingVersion(8, shard_names(2))
        cluster.routes.follow(cluster.ring)
        assert [session.valid_until for session in sessions] == [0.0, 0.0]
        for link in links:
            with pytest.raises(RingChanged):
                await link.session()
        cluster.routes.follow(RingVersion(7, shard_names(2)))
        assert cluster.routes.version == 8
        assert all([await link.session() for link in cluster.routes.links])

    _play(story)
