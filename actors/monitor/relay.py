"""A node's relay as an actor: where there are many nodes, the monitor hears one call of each."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

import ray

from actors.monitor.client import MonitorClient, relay_name
from actors.monitor.merger import Merger
from actors.monitor.messages import Batch, Bundle, Reply
from actors.runtime.clock import SystemClock
from actors.runtime.errors import ActorError, Overloaded
from actors.runtime.spec import ActorSpec
from actors.runtime.supervised import Supervised

RELAY_EVERY_S = 0.25
IDLE_S = 60.0
"""A relay that nobody told anything for so long ends. One that stayed would keep Ray's autoscaler from taking its node
away, for a node with an actor is not idle."""
_UNHEARD = Reply(heard=False, relay=True)

_logger = logging.getLogger(__name__)


class MonitorRelayActor(Supervised):
    """Adds up what the processes of its node tell, and tells the monitor four times a second.

    A process gets its answer when the monitor has heard it, and keeps what it told until then. So nothing is lost with
    a relay, and it has nothing to keep while the monitor is away.
    """

    def __init__(
        self,
        code_version: str,
        node: str,
        namespace: str,
        configure_logging: Callable[[], None] = lambda: None,
        idle_s: float = IDLE_S,
    ) -> None:
        super().__init__(code_version)
        self._clock = SystemClock()
        self._configure_logging = configure_logging
        self._idle_s = idle_s
        self._client = MonitorClient(namespace)
        self._merger = Merger(node, secrets.token_hex(8), self._clock.monotonic())
        self._told_at = self._clock.monotonic()
        self._turn: asyncio.Future[Reply] | None = None
        self._running: asyncio.Task[None] | None = None

    async def ensure_running(self) -> str:
        """Hand on, unless it does already, and return the version; safe to repeat."""
        self._start()
        return await super().ensure_running()

    async def report(self, batch: Batch) -> Reply:
        """Take a process's batch and return what the monitor says, in about two seconds at most; not heard, if the
        monitor is away. Raises ``Overloaded``. Safe to repeat with a batch that says how old it is."""
        self._start()
        self._told_at = self._clock.monotonic()
        if not self._merger.add(batch):
            raise Overloaded("the relay", RELAY_EVERY_S)
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
        # A caller that is cancelled must not take the answer from the others.
        return await asyncio.shield(self._turn)

    def _start(self) -> None:
        if self._running is None:
            self._configure_logging()
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._clock.monotonic() - self._told_at < self._idle_s:
            await asyncio.sleep(RELAY_EVERY_S)
            turn, self._turn = self._turn, None
            if turn is not None:
                turn.set_result(await self._tell(self._merger.take(self._clock.monotonic())))
        _logger.info("nobody tells the relay anything: it ends")
        # Off the loop, for it asks the control store.
        await asyncio.to_thread(ray.kill, ray.get_runtime_context().current_actor)

    async def _tell(self, bundle: Bundle) -> Reply:
        try:
            return await self._client.report_bundle(bundle)
        except ActorError as away:
            _logger.info("the monitor does not hear the relay: %s", away)
        except Exception:
            # A defect here must not silence the node for good.
            _logger.exception("the relay cannot hand on what it was told")
        return _UNHEARD


def relay_spec(node: str, node_id: str, namespace: str, configure_logging: Callable[[], None]) -> ActorSpec:
    """Return what the relay of a node is: ``node`` as processes call theirs, ``node_id`` as Ray does."""
    arguments = node, namespace, configure_logging
    version = ActorSpec("", MonitorRelayActor).code_version
    # Each process of the node has one call open until the monitor has heard it.
    return ActorSpec(relay_name(node, version), MonitorRelayActor, arguments, max_concurrency=2000, node=node_id)
