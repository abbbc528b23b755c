"""Tasks and definitions as tests need them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack
from uuid import UUID

from actors.scheduler.registry import Limits, Registry, Run
from actors.scheduler.task import Priority, Task

NORMAL = Priority.NORMAL


def make_task(
    number: int,
    name: str = "a",
    *,
    owner: str = "",
    lane: str | None = None,
    priority: int = NORMAL,
    run_at: float = 0.0,
    attempts: int = 0,
    orphaned: int = 0,
) -> Task:
    """Return a task whose id is its number."""
    return Task(UUID(int=number), name, owner, lane, priority, "null", run_at, attempts, orphaned)


def make_registry(**names: Limits) -> Registry[None]:
    """Return a registry with a coroutine function for each name."""
    registry: Registry[None] = Registry()
    for name, limits in names.items():
        define(registry, name, **limits)
    return registry


def define(registry: Registry[None], name: str, **limits: Unpack[Limits]) -> None:
    """Register a function that does nothing."""

    @registry.task(name, **limits)
    async def nothing(run: Run[None]) -> None: ...


def numbers(tasks: Iterable[Task]) -> list[int]:
    """Return the numbers of tasks."""
    return [task.id.int for task in tasks]
