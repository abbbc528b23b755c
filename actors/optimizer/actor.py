"""The query optimizer as an actor: rounds at intervals on the gateway's database."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from actors.optimizer.builds import Busy
from actors.optimizer.journal import Journal, NotOwner
from actors.optimizer.policy import Policy
from actors.optimizer.report import Report
from actors.optimizer.rounds import Memory, act, look
from actors.optimizer.server import NotSupported
from actors.optimizer.state import Mode, OptimizerState
from actors.pool.connector import Connection, Connector
from actors.pool.faults import DRIVER_ERRORS
from actors.runtime.clock import SystemClock
from actors.runtime.errors import ActorError
from actors.runtime.supervised import Supervised

APPLICATION_NAME = "easypay-optimizer"
SILENT_ROUNDS = 3
"""For how many intervals the owner has not been heard of before one that lost it takes over."""
_COMMAND_TIMEOUT_S = 60.0

_logger = logging.getLogger(__name__)


class QueryOptimizerActor(Supervised):
    """Looks for indexes that the workload lacks or pays for in vain, and in ``auto`` makes and drops them.

    The first round comes one interval after the start, when there is a workload to look at. It works on a connection of
    its own, made for each round, as a role that owns the tables. A round that fails is told by `state`; the next one
    begins anew. Of two on one database the later one acts, the other stands by until that one is silent.
    """

    def __init__(
        self, code_version: str, database_url: Callable[[], str], mode: Mode, interval_s: float, policy: Policy
    ) -> None:
        super().__init__(code_version)
        self._database_url = database_url
        self._interval_s = interval_s
        self._policy = policy
        self._clock = SystemClock()
        self._memory = Memory()
        self._stands_by = False
        self._state = OptimizerState(mode.value, is_owner=False)
        self._actions: Counter[str] = Counter()
        self._mode = mode
        self._running: asyncio.Task[None] | None = None

    async def ensure_running(self) -> str:
        """Begin, unless it runs already, and return the version; safe to repeat."""
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())
        return await super().ensure_running()

    async def stop(self) -> None:
        """End, in the middle of a round if need be."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def state(self) -> OptimizerState:
        """Return how things stand."""
        return self._state

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self._try_round()

    async def _try_round(self) -> None:
        begun = self._clock.monotonic()
        fault: str | None = None
        report = self._state.report
        try:
            report = await self._round()
        except NotOwner as lost:
            _logger.warning("%s; standing by", lost)
            self._memory.epoch, self._stands_by = None, True
            fault = str(lost)
        except Busy:
            fault = "another session changes indexes now"
        except (
            NotSupported,
            ActorError,
            OSError,
            TimeoutError,
            *DRIVER_ERRORS,
        ) as error:
            fault = f"{type(error).__name__}: {error}"
            _logger.warning("a round of the optimizer failed: %s", fault)
        if fault is None and report is not None:
            self._actions.update(entry.action for entry in report.actions)
        self._state = replace(
            self._state,
            is_owner=self._memory.epoch is not None,
            rounds=self._state.rounds + (fault is None),
            failures=self._state.failures + (fault is not None),
            last_round_at=self._clock.now(),
            last_round_s=self._clock.monotonic() - begun,
            fault=fault,
            report=report,
            actions=dict(self._actions),
            alarms=self._state.alarms + (len(report.alarms) if fault is None and report is not None else 0),
        )

    async def _round(self) -> Report:
        connector = Connector(self._database_url(), command_timeout_s=_COMMAND_TIMEOUT_S)
        connection = await connector.connect(APPLICATION_NAME)
        try:
            if self._mode is Mode.AUTO and await self._may_act(connection):
                report = await act(connection, self._policy, self._memory)
            else:
                report = await look(connection, self._policy, self._memory)
        finally:
            connection.terminate()
        for alarm in report.alarms:
            _logger.warning(
                "statement %d has another plan and takes %.1f ms in place of %.1f ms",
                alarm.query_id, alarm.after_ms, alarm.before_ms,
            )  # fmt: skip
        for entry in report.actions:
            _logger.warning("index %s: %s: %s", entry.index_name, entry.action, entry.why)
        return report

    async def _may_act(self, connection: Connection) -> bool:
        """Whether it is the owner, or takes over from one that is silent."""
        if not self._stands_by:
            return True
        silent_s = await Journal(connection).silent_s()
        self._stands_by = silent_s is not None and silent_s < SILENT_ROUNDS * self._interval_s
        return not self._stands_by
