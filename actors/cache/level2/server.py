"""A Redis server or cluster behind one URL: commands by key in one round trip, within a deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import AskError, MovedError, NoScriptError, ResponseError

from actors.cache.level2.node import FAILURES, RESOURCE, RETRY_AFTER_S, Dial, Node, Words, describe, field_of
from actors.cache.level2.scripts import Script
from actors.cache.level2.topology import Cluster, Standalone, Topology
from actors.runtime.breaker import Breaker, BreakerPolicy, State
from actors.runtime.errors import OutcomeUnknown, Unavailable

POOL_SIZE = 8
DEADLINE_S = 0.25
# A slot moves from one node to another, and rarely on to a third at once.
REDIRECTIONS_MAX = 2
# A server that is full refuses writes alone: a share of failures, however large, must not take the reads away.
POLICY = BreakerPolicy(failure_share=1.0)
_SEVERITY = (State.CLOSED, State.HALF_OPEN, State.OPEN)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Command:
    """A command, sent to the node that holds ``key``; with a ``script``, ``words`` are its number of keys and the rest.

    All keys that it names have to be in one slot.
    """

    key: str
    words: Words
    script: Script | None = None

    def packed(self) -> Words:
        """Return it as it is sent."""
        return self.words if self.script is None else ("EVALSHA", self.script.sha, *self.words)


class RedisServer:
    """Run commands on what the URL (``redis://``, ``rediss://`` or ``unix://``) leads to; connects at the first call.

    Bound to the loop of its first call. ``pool_size`` connections to each node, each behind a breaker of its own, so
    that a node of a cluster that is down does not take the others away.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = POOL_SIZE,
        deadline_s: float = DEADLINE_S,
        draw: random.Random | None = None,
    ) -> None:
        """Raises ValueError for a URL that cannot be understood."""
        assert pool_size > 0
        assert deadline_s > 0
        # The two are for redis-py's own pools, which are not used.
        options = {name: value for name, value in parse_url(url).items() if name not in ("max_connections", "timeout")}
        # One timer a call instead of one for each answer; and the older protocol, which greets in fewer round trips.
        self._limits: dict[str, Any] = {"socket_timeout": None, "socket_connect_timeout": deadline_s, "protocol": 2}
        self._url = url
        self._options: dict[str, Any] = {**self._limits, **options}
        self._connection_class = self._options.pop("connection_class", Connection)
        self._pool_size = pool_size
        self._deadline_s = deadline_s
        self._draw = draw or random.Random()
        self._seed: Node | None = None
        self._topology: Topology | None = None
        self._connecting = asyncio.Lock()
        self._identified = False
        self._closed = False
        self._forced: State | None = None

    def look(self, now: float) -> tuple[State, int, int]:
        """Return the worst state of a node's breaker, and the calls and failures of the last seconds of all nodes."""
        breakers = [node.breaker for node in self._nodes()]
        windows = [breaker.window(now) for breaker in breakers]
        worst = max((breaker.state for breaker in breakers), key=_SEVERITY.index, default=self._forced or State.CLOSED)
        return worst, sum(calls for calls, _ in windows), sum(failures for _, failures in windows)

    def force(self, forced: State | None) -> None:
        """Hold the breakers of all nodes open or closed, or (None) let each decide again."""
        if forced is self._forced:
            return
        self._forced = forced
        for node in self._nodes():
            node.breaker.force(forced)

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """Run the commands, those of one node in order and in one write; return an answer for each.

        The answer of one that failed is an error: Unavailable where nothing was done, OutcomeUnknown where it may have
        been. Raises Unavailable where no server was reached at all.
        """
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        return await self._call(await self._connected(deadline), commands, deadline)

    async def run_each(self, script: Script, shared: Words, items: Sequence[tuple[str, Words]]) -> list[Any]:
        """Run a script over many keys, each with arguments of its own after the ``shared`` ones; return as ``call``.

        The script gets as many keys at once as the topology permits, and returns a list with an answer for each.
        """
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        topology = await self._connected(deadline)
        commands: list[Command] = []
        for chunk in _chunks(items, topology.keys_per_command):
            keys = [key for key, _ in chunk]
            own = (word for _, words in chunk for word in words)
            commands.append(Command(keys[0], (len(keys), *keys, *shared, *own), script))
        answers = await self._call(topology, commands, deadline)
        each: list[Any] = []
        for answer, chunk in zip(answers, _chunks(items, topology.keys_per_command), strict=True):
            each += [answer] * len(chunk) if isinstance(answer, Exception) else answer
        return each

    async def identity(self) -> str:
        """Return the ids of the server's processes, as they are now. Raises Unavailable where one cannot be asked.

        From the first time on no other processes are talked to: once one has restarted, or another took its place, its
        commands fail with ServerRestarted until this is called again.
        """
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        topology = await self._connected(deadline)
        if not await _refreshed(topology, deadline):
            raise Unavailable(RESOURCE, "no node tells of the others", RETRY_AFTER_S)
        nodes = topology.nodes()
        answers = await asyncio.gather(*(node.run_id(deadline) for node in nodes), return_exceptions=True)
        run_ids = [answer for answer in answers if isinstance(answer, str)]
        for error in answers:
            if isinstance(error, OutcomeUnknown):
                raise Unavailable(RESOURCE, error.reason, RETRY_AFTER_S) from error
            if isinstance(error, BaseException):
                raise error
        # All or none, so that a failure above leaves everything as it was.
        self._identified = True
        for node, run_id in zip(nodes, run_ids, strict=True):
            node.expected_run_id = run_id
        return ",".join(sorted(run_ids))

    async def close(self) -> None:
        """Close all connections and refuse further calls. Repeatable."""
        self._closed = True
        if self._seed is not None:
            await self._seed.close()
        if self._topology is not None:
            await self._topology.close()

    async def _call(self, topology: Topology, commands: Sequence[Command], deadline: float) -> list[Any]:
        answers: list[Any] = [None] * len(commands)
        pending: Iterable[int] = range(len(commands))
        for redirection in range(REDIRECTIONS_MAX + 1):
            await self._ask_all(topology, commands, pending, answers, deadline)
            pending = [index for index in pending if isinstance(answers[index], MovedError)]
            if not pending or redirection == REDIRECTIONS_MAX:
                break
            await _refreshed(topology, deadline)
        return [_refused(answer) if isinstance(answer, ResponseError) else answer for answer in answers]

    async def _ask_all(
        self,
        topology: Topology,
        commands: Sequence[Command],
        indices: Iterable[int],
        answers: list[Any],
        deadline: float,
    ) -> None:
        """Put the answers in their places."""
        groups: dict[Node, list[int]] = {}
        for index in indices:
            try:
                groups.setdefault(topology.node_of(commands[index].key), []).append(index)
            except Unavailable as error:
                answers[index] = error

        async def ask(node: Node, group: list[int]) -> None:
            found = await self._ask(topology, node, [commands[index] for index in group], deadline)
            for index, answer in zip(group, found, strict=True):
                answers[index] = answer

        if len(groups) == 1:  # Without a task.
            await ask(*groups.popitem())
        else:
            await asyncio.gather(*(ask(node, group) for node, group in groups.items()))

    async def _ask(self, topology: Topology, node: Node, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Return the answers of one node; where it fails, the failure for each."""
        try:
            answers = await node.exchange([command.packed() for command in commands], deadline)
            await self._repeat_unknown_scripts(node, commands, answers, deadline)
        except (Unavailable, OutcomeUnknown) as error:
            topology.suspect()
            return [error] * len(commands)
        for index, answer in enumerate(answers):
            if isinstance(answer, AskError) and not isinstance(answer, MovedError):
                answers[index] = await _ask_elsewhere(topology, commands[index], answer, deadline)
        return answers

    @staticmethod
    async def _repeat_unknown_scripts(
        node: Node, commands: Sequence[Command], answers: list[Any], deadline: float
    ) -> None:
        """Load what the server did not know, which it refused without doing anything, and run that again."""
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if not unknown:
            return
        texts = {script.text for index in unknown if (script := commands[index].script) is not None}
        loads: list[Words] = [("SCRIPT", "LOAD", text) for text in texts]
        repeated: list[Any]
        try:
            repeated = await node.exchange([*loads, *(commands[index].packed() for index in unknown)], deadline)
        except (Unavailable, OutcomeUnknown) as error:
            # Theirs alone: the others have been answered.
            repeated = [error] * (len(loads) + len(unknown))
        for index, answer in zip(unknown, repeated[len(loads) :], strict=True):
            answers[index] = answer

    def _nodes(self) -> Sequence[Node]:
        if self._topology is not None:
            return self._topology.nodes()
        return [] if self._seed is None else [self._seed]

    async def _connected(self, deadline: float) -> Topology:
        if self._closed:
            raise Unavailable(RESOURCE, "closed", RETRY_AFTER_S)
        if self._topology is not None:
            return self._topology
        try:
            async with asyncio.timeout_at(deadline), self._connecting:
                if self._topology is None:
                    self._topology = await self._find(deadline)
        except FAILURES as error:
            raise Unavailable(RESOURCE, describe(error), RETRY_AFTER_S) from error
        except OutcomeUnknown as error:
            raise Unavailable(RESOURCE, error.reason, RETRY_AFTER_S) from error
        return self._topology

    async def _find(self, deadline: float) -> Topology:
        """Ask what kind of server it is; that does not change."""
        if self._seed is None:
            self._seed = self._make_node("seed", lambda: self._connection_class(**self._options))
        (info,) = await self._seed.exchange([("INFO", "cluster")], deadline)
        if isinstance(info, ResponseError):
            raise info
        if field_of(info, "cluster_enabled") != "1":
            return Standalone(self._seed)
        # Half of a call's time for a node that does not tell the map of slots; the other half for the next.
        limits = {**self._limits, "socket_timeout": self._deadline_s / 2}
        client = RedisCluster.from_url(self._url, require_full_coverage=False, **limits)
        cluster = Cluster(client, self._make_node)
        try:
            await cluster.refresh()
        except BaseException:
            await cluster.close()
            raise
        await self._seed.close()
        if self._closed:  # In the meantime.
            await cluster.close()
        return cluster

    def _make_node(self, name: str, dial: Dial) -> Node:
        breaker = Breaker(self._draw, POLICY)
        breaker.force(self._forced)
        node = Node(name, dial, breaker, pool_size=self._pool_size)
        if self._identified:
            node.expected_run_id = ""  # It was not there when the identity was read: nobody's.
        return node


async def _ask_elsewhere(topology: Topology, command: Command, redirection: AskError, deadline: float) -> Any:
    """Ask the node that a key is on its way to."""
    try:
        return (await topology.node_at(redirection).exchange([("ASKING",), command.packed()], deadline))[1]
    except (Unavailable, OutcomeUnknown) as error:
        return error


async def _refreshed(topology: Topology, deadline: float) -> bool:
    try:
        async with asyncio.timeout_at(deadline):
            await topology.refresh()
    except FAILURES:
        return False
    return True


def _refused(error: ResponseError) -> Unavailable:
    return Unavailable(RESOURCE, describe(error), RETRY_AFTER_S)


def _chunks(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    """Cut a sequence into lists of at most ``size``."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
