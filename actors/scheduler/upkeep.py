"""What the owner of the queue does besides running tasks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from actors.runtime.errors import ActorError
from actors.scheduler.cron import CatchUp, Crons, Firing
from actors.scheduler.effects import Dispatch
from actors.scheduler.registry import Registry
from actors.scheduler.store import CronTask, TaskStore

Result = TypeVar("Result")

_CHECKPOINT_EVERY_S = 10.0
_PROGRESS_EVERY_S = 1.0
_CRON_PAUSE_MAX_S = 60.0
_REPEAT_MIN_S = 0.05
_REPEAT_MAX_S = 1.0

_logger = logging.getLogger(__name__)


class Upkeep:
    """Schedules, checkpoints and progress, for one epoch; ``NotOwner`` ends them."""

    def __init__(
        self,
        store: TaskStore,
        registry: Registry[Any],
        epoch: int,
        *,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._registry = registry
        self._epoch = epoch
        self._now = now

    async def open_crons(self) -> Crons:
        """Return the schedules of the registry, those that are new from now on."""
        schedules = {
            definition.name: (definition.schedule, definition.catch_up)
            for definition in self._registry
            if definition.schedule is not None
        }
        return Crons(schedules, await self._store.begin_crons(sorted(schedules)))

    async def fire(self, crons: Crons, tell: Callable[[], None]) -> None:
        """Enqueue what runs by itself when it is due, and tell that there is something new."""
        while True:
            for firing in crons.due(self._moment()):
                if not await until_done(partial(self._fire_one, firing)):
                    # It was fired before: by this statement, whose answer was lost.
                    _logger.info("the schedule of %s had moved on", firing.name)
                crons.fired(firing.name, firing.last_at)
                tell()
            next_at = crons.next_at()
            pause_s = _CRON_PAUSE_MAX_S if next_at is None else (next_at - self._moment()).total_seconds()
            await asyncio.sleep(min(max(pause_s, 0.0), _CRON_PAUSE_MAX_S))

    async def _fire_one(self, firing: Firing) -> bool:
        definition = self._registry.find(firing.name)
        assert definition is not None, "schedules are those of the registry"
        adapter, takes_time = definition.adapter, definition.takes_arguments
        tasks = [CronTask(adapter.dump_json(time if takes_time else None).decode(), time) for time in firing.times]
        unique_key = "schedule" if definition.catch_up is CatchUp.LAST else None
        return await self._store.fire(self._epoch, firing, definition.priority, tasks, unique_key)

    async def checkpoint(self, open_dispatches: Callable[[], Sequence[Dispatch]]) -> None:
        """Repeat in the table what runs, and show that the owner lives."""
        while True:
            await until_done(lambda: self._store.checkpoint(self._epoch, open_dispatches()))
            await asyncio.sleep(_CHECKPOINT_EVERY_S)

    async def store_progress(self, take: Callable[[], Mapping[UUID, str]]) -> None:
        """Store how far tasks are, once a second."""
        while True:
            await asyncio.sleep(_PROGRESS_EVERY_S)
            told = take()
            if told:
                try:
                    await self._store.progress(self._epoch, told)
                except ActorError as away:
                    _logger.info("progress is not stored: %s", away)

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


async def until_done(action: Callable[[], Awaitable[Result]]) -> Result:
    """Do what may be repeated until it is done."""
    pause_s = _REPEAT_MIN_S
    while True:
        try:
            return await action()
        except ActorError as away:
            _logger.info("the queue's table is tried again: %s", away)
        await asyncio.sleep(random.uniform(0, pause_s))
        pause_s = min(2 * pause_s, _REPEAT_MAX_S)
