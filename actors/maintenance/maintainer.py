"""Does what is worth doing: one step at a time, on a connection of its own, never within a transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from actors.maintenance.decide import admit, decide
from actors.maintenance.figures import Figures
from actors.maintenance.guard import MAINTENANCE_NAME
from actors.maintenance.journal import MaintenanceJournal, OrderedBy
from actors.maintenance.load import Load, sample
from actors.maintenance.observe import Fetch, Observer
from actors.maintenance.past import History
from actors.maintenance.policy import Policy
from actors.maintenance.step import Action, Numbers, Step, Urgency, quoted
from actors.pool.connector import Connection, Connector
from actors.pool.faults import DRIVER_ERRORS, describe, translate
from actors.pool.statements import load_statements
from actors.pool.turn import TURN

STEP_TIMEOUT_S = 3 * 3600.0
RUN_S = 600.0
"""After this no new step begins; the next run goes on."""
# A lock that is not had soon is had another time. What a rebuild waits for besides, the end of statements that began
# before it, is bounded by this too, and keeps nobody else waiting.
_LOCK_TIMEOUT = "5s"
# A process that was killed must not leave a vacuum behind that goes on for hours and has the turn.
_CLIENT_CHECK = "10s"
_CLOSE_TIMEOUT_S = 5.0
_CONFIRM_BYTES_MAX = 1024 * 1024 * 1024

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How work is slowed down: a vacuum sleeps ``delay_ms`` whenever it has spent ``limit``, and after a step of the
    schedule there is a rest of ``rests`` times its length, at most ``REST_MAX_S``.

    A page of the buffers costs 1, one from elsewhere 2, one made dirty 20. Source: PostgreSQL manual, 19.4.4. That
    does not slow down the reading of catalogs and the writing of statistics, which is most of a step for a small table:
    done without rests on two cores that payments fill, such steps took 16 % of the payments.
    """

    delay_ms: float
    limit: int
    rests: float = 0.0


PACES = {Urgency.URGENT: Pace(0, 200), Urgency.IDLE: Pace(2, 800), Urgency.DUE: Pace(5, 200, rests=4.0)}
REST_MAX_S = 30.0


@dataclass(frozen=True, slots=True)
class Survey:
    """How things stand: the figures, what is worth doing, what of it would be done now."""

    figures: Figures
    history: History
    steps: Sequence[Step]
    admitted: Sequence[Step]
    is_busy: bool
    sessions: float


@dataclass(frozen=True, slots=True)
class Done:
    """A step that has ended; with an ``error`` it failed."""

    step: Step
    seconds: float
    after: Numbers
    error: str | None = None


class Maintainer:
    """Maintains one schema of one database.

    At most one does, whatever processes there are: the others find that it is not their turn.
    """

    def __init__(self, url: str, policy: Policy, load: Load | None = None) -> None:
        """``url`` is that of the role that owns the tables."""
        settings = {"lock_timeout": _LOCK_TIMEOUT, "client_connection_check_interval": _CLIENT_CHECK}
        self._connector = Connector(url, command_timeout_s=STEP_TIMEOUT_S, settings=settings)
        self._policy = policy
        self._load = load or Load()
        self._sql = load_statements("actors.maintenance")

    async def survey(self, *, by_hand: bool = False) -> Survey:
        """Return how things stand, and do nothing. Takes a second, in which it looks how busy the database is."""
        async with self._connected() as connection:
            return await self._survey(connection.fetch, by_hand=by_hand)

    async def run(
        self,
        told: Callable[[Done, int], None] = lambda _done, _total: None,
        *,
        ordered_by: OrderedBy = OrderedBy.SCHEDULE,
        only: frozenset[Action] = frozenset(Action),
    ) -> list[Done] | None:
        """Do what is worth doing now; None: somebody else is at it. ``told`` hears of each step and how many there are.

        A step that fails, for a lock or otherwise, is written down and the next one is done.

        Raises:
            ActorError: the database is away. What was done is; safe to repeat.
        """
        async with self._connected() as connection:
            if not await connection.fetchval(self._sql["take_turn"], TURN):
                return None
            journal = MaintenanceJournal(connection.fetch)
            await journal.tidy()
            survey = await self._survey(connection.fetch, by_hand=ordered_by is OrderedBy.HAND)
            steps = [step for step in survey.admitted if step.action in only]
            loop, done = asyncio.get_running_loop(), list[Done]()
            ends_at = loop.time() + RUN_S
            for step in steps:
                if loop.time() > ends_at or connection.is_closed():
                    break
                if done and ordered_by is OrderedBy.SCHEDULE and await self._has_become_busy(connection.fetch, step):
                    continue
                began = loop.time()
                done.append(await self._do(connection, journal, step, ordered_by))
                told(done[-1], len(steps))
                if ordered_by is OrderedBy.SCHEDULE and step is not steps[-1]:
                    await asyncio.sleep(min(REST_MAX_S, PACES[step.urgency].rests * (loop.time() - began)))
            return done

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection = await self._connector.connect(MAINTENANCE_NAME)
        try:
            yield connection
        except (*DRIVER_ERRORS, OSError) as error:
            ours = translate("maintenance", error, connected=not connection.is_closed(), applies=False)
            if ours is None:
                raise
            raise ours from error
        finally:
            try:
                # Waits until a statement that was cut short is cancelled.
                await connection.close(timeout=_CLOSE_TIMEOUT_S)
            except (TimeoutError, OSError, *DRIVER_ERRORS):
                connection.terminate()

    async def _survey(self, fetch: Fetch, *, by_hand: bool) -> Survey:
        observer, policy = Observer(fetch), self._policy
        history = await MaintenanceJournal(fetch).history()
        figures = await self._confirmed(observer, fetch, await observer.figures(policy.partitions), history)
        await self._look(fetch)
        steps = decide(figures, history, policy)
        admitted = admit(steps, policy, is_busy=self._load.is_busy, by_hand=by_hand)
        return Survey(figures, history, steps, admitted, self._load.is_busy, self._load.sessions)

    async def _confirmed(self, observer: Observer, fetch: Fetch, figures: Figures, history: History) -> Figures:
        """Put what the indexes themselves say in the place of those estimates that ask for a rebuild."""
        schema = await observer.index_reader()
        suspects = {step.target for step in decide(figures, history, self._policy) if step.action is Action.REINDEX}
        if schema is None or not suspects:
            return figures
        indexes = []
        for index in figures.indexes:
            if index.name in suspects and index.bytes <= _CONFIRM_BYTES_MAX:
                sql = f"SELECT avg_leaf_density / 90 AS share FROM {quoted(schema)}.pgstatindex($1::text::regclass)"
                share = (await fetch(sql, quoted(index.name)))[0]["share"]
                indexes.append(replace(index, expected_bytes=int(index.bytes * min(1.0, share))))
            else:
                indexes.append(index)
        return replace(figures, indexes=tuple(indexes))

    async def _look(self, fetch: Fetch) -> bool:
        async def count() -> int:
            return int((await fetch(self._sql["active_sessions"], MAINTENANCE_NAME))[0]["count"])

        return self._load.told(await sample(count))

    async def _has_become_busy(self, fetch: Fetch, step: Step) -> bool:
        return step.urgency is Urgency.IDLE and await self._look(fetch)

    async def _do(self, connection: Connection, journal: MaintenanceJournal, step: Step, ordered_by: OrderedBy) -> Done:
        entry = await journal.begin(step, ordered_by)
        loop = asyncio.get_running_loop()
        began, error, told = loop.time(), None, dict[str, Any]()
        try:
            await self._pace(connection, step)
            told = await self._run_statement(connection, step)
        except (asyncpg.PostgresError, TimeoutError) as fault:
            # A lock that somebody has, a statement that took too long, a right that is missing: this step, no other.
            error = _text_of(fault)
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as fault:
            error = describe(fault)
        seconds = loop.time() - began
        if connection.is_closed():
            return Done(step, seconds, {}, error or "the connection was lost")
        after = {**told, **(await self._after(connection.fetch, step))}
        await journal.end(entry, after, round(seconds, 3), error)
        log = _logger.warning if error else _logger.info
        log("%s %s: %s (%.1f s)%s", step.action.value, step.target, step.reason, seconds, f": {error}" if error else "")
        return Done(step, seconds, after, error)

    async def _pace(self, connection: Connection, step: Step) -> None:
        pace = PACES[step.urgency]
        await connection.execute(f"SET vacuum_cost_delay = '{pace.delay_ms:g}ms'; SET vacuum_cost_limit = {pace.limit}")

    async def _run_statement(self, connection: Connection, step: Step) -> dict[str, Any]:
        for kept in self._policy.partitions:
            if step.target == kept.name and step.action is Action.MAKE_PARTITIONS:
                return {"made": await connection.fetchval(step.statement, kept.ahead_days)}
            if step.target == kept.name and step.action is Action.DROP_PARTITION:
                return {"dropped": ", ".join(await _dropped(connection, step.statement, kept.retention_days))}
        await connection.execute(step.statement)
        return {}

    async def _after(self, fetch: Fetch, step: Step) -> dict[str, Any]:
        observer = Observer(fetch)
        if step.action in (Action.VACUUM, Action.ANALYZE):
            found = await observer.tables(await observer.server(), step.target)
            return {name: getattr(table, name) for table in found for name in step.before if hasattr(table, name)}
        if step.action is Action.REINDEX:
            confirmed = await observer.indexes(step.target)
            return {name: value for index in confirmed for name, value in _numbers(index.bytes, index.bloat).items()}
        return {}


async def _dropped(connection: Connection, statement: str, retention_days: int) -> list[str]:
    dropped: list[str] = []
    while (name := await connection.fetchval(statement, retention_days)) is not None:
        dropped.append(str(name))
    return dropped


def _numbers(size: int, bloat: float) -> dict[str, float | int]:
    return {"bytes": size, "bloat": round(bloat, 3)}


def _text_of(fault: Exception) -> str:
    """Return the server's words: they name tables, and no values, for what is run here has none."""
    return f"{describe(fault)}: {fault}" if isinstance(fault, asyncpg.PostgresError) else describe(fault)
