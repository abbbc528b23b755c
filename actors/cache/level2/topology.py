"""Which node holds which key: one for all, or those of a Redis Cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, SlotNotCoveredError

from actors.cache.level2.node import FAILURES, RESOURCE, RETRY_AFTER_S, Dial, Node
from actors.runtime.errors import Unavailable

# For one question for the map of slots, which nobody waits for.
REFRESH_TIMEOUT_S = 1.0
# A cluster takes seconds to put a replica in a node's place; to ask more often would find nothing new.
REFRESH_INTERVAL_S = 0.5

MakeNode = Callable[[str, Dial], Node]


class Topology(Protocol):
    """Where keys are."""

    keys_per_command: int
    """How many keys one command may name."""

    def node_of(self, key: str) -> Node:
        """Return the node that holds a key; raises Unavailable where none does."""
        ...

    def node_at(self, redirection: AskError) -> Node:
        """Return the node that an answer names."""
        ...

    def nodes(self) -> list[Node]:
        """Return all nodes that hold keys."""
        ...

    async def refresh(self) -> None:
        """Ask anew where keys are; raises what redis-py raises."""
        ...

    def suspect(self) -> None:
        """Do so in the background: a node did not answer, and another may hold its keys by now."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Standalone:
    """One server that holds all keys."""

    # What one command does is done while everybody else waits: up to 10 µs a key, so a millisecond.
    keys_per_command = 100

    def __init__(self, node: Node) -> None:
        self._node = node

    def node_of(self, _key: str) -> Node:
        return self._node

    def node_at(self, _redirection: AskError) -> Node:
        return self._node

    def nodes(self) -> list[Node]:
        return [self._node]

    async def refresh(self) -> None:
        pass

    def suspect(self) -> None:
        pass

    async def close(self) -> None:
        await self._node.close()


class Cluster:
    """The primaries of a Redis Cluster.

    redis-py's client keeps the map of slots. Its pipeline is not used: it gives up on all nodes where one fails, never
    asks for a new map, and does not bound how long it waits for connections.
    """

    # Two keys are hardly ever in one of the 16384 slots.
    keys_per_command = 1

    def __init__(self, client: RedisCluster, make_node: MakeNode) -> None:
        self._client = client
        self._make_node = make_node
        self._nodes: dict[str, Node] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_again_at = 0.0
        self._closed = False

    def node_of(self, key: str) -> Node:
        try:
            found = self._client.get_node_from_key(key)
        except SlotNotCoveredError:
            found = None
        if found is None:
            self.suspect()
            raise Unavailable(RESOURCE, "no node holds the key's slot", RETRY_AFTER_S)
        return self._node(found)

    def node_at(self, redirection: AskError) -> Node:
        found = self._client.get_node(redirection.host, redirection.port)
        if found is None:
            self.suspect()
            raise Unavailable(RESOURCE, "a node is not known yet", RETRY_AFTER_S)
        return self._node(found)

    def nodes(self) -> list[Node]:
        return [self._node(found) for found in self._client.get_primaries()]

    async def refresh(self) -> None:
        # Without the client's own `initialize`, which also reads the table of all commands, 200 kB.
        await self._client.nodes_manager.initialize()
        gone = self._nodes.keys() - self._client.nodes_manager.nodes_cache.keys()
        for name in gone:
            node = self._nodes.pop(name, None)
            if node is not None:  # Else another refresh was here, while this one waited.
                await node.close()

    def suspect(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._closed:
            return
        if now >= self._refresh_again_at and (self._refreshing is None or self._refreshing.done()):
            self._refresh_again_at = now + REFRESH_INTERVAL_S
            self._refreshing = asyncio.ensure_future(self._refresh_within(REFRESH_TIMEOUT_S))

    async def close(self) -> None:
        self._closed = True
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        for node in self._nodes.values():
            await node.close()
        manager = self._client.nodes_manager
        for attribute in ("nodes_cache", "startup_nodes"):
            await manager.aclose(attribute)

    def _node(self, found: ClusterNode) -> Node:
        node = self._nodes.get(found.name)
        if node is None:
            # The timeout of each answer is for redis-py's own question; calls of ours have a deadline as a whole.
            options = {**found.connection_kwargs, "socket_timeout": None}
            node = self._make_node(found.name, lambda: found.connection_class(**options))
            self._nodes[found.name] = node
        return node

    async def _refresh_within(self, timeout_s: float) -> None:
        # The next call that fails asks again.
        with suppress(*FAILURES):
            async with asyncio.timeout(timeout_s):
                await self.refresh()
