"""Which functions can be run as tasks, and how. A registry is a value: whoever needs one is given it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Generic, TypeVar, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from actors.scheduler.retry import RetryPolicy
from actors.scheduler.task import NewTask, Priority

Services = TypeVar("Services")
Arguments = TypeVar("Arguments")

NAME_MAX = 100
ARGUMENTS_MAX_BYTES = 64 * 1024


class Kind(Enum):
    """Where a task's function runs."""

    IO = auto()
    """A coroutine on a worker's event loop, beside many others."""
    CPU = auto()
    """A plain function in a process of its own: a Ray task with a CPU, which the autoscaler sees."""


@dataclass(frozen=True, slots=True)
class Run(Generic[Services]):
    """One run of a task, as its function sees it.

    ``attempt`` counts from 1. ``progress`` tells how far it is (done, of how many, in words); it returns at once and
    may be called as often as one likes.
    """

    task_id: UUID
    attempt: int
    services: Services
    progress: Callable[[int, int, str], None]


@dataclass(frozen=True)
class TaskDefinition(Generic[Services, Arguments]):
    """A function that can be run as a task, with its limits.

    ``concurrency_max`` bounds its runs at once over all workers, ``lane_width`` those of one lane; ``timeout_s`` ends a
    run as a failure. ``cron`` (five fields, UTC) or ``every_s`` has it run by itself, without arguments.
    """

    name: str
    function: Callable[[Run[Services], Arguments], Awaitable[None]] | Callable[[Arguments], None]
    adapter: TypeAdapter[Arguments]
    kind: Kind = Kind.IO
    priority: Priority = Priority.NORMAL
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float = 60.0
    concurrency_max: int = 1000
    lane_width: int = 1
    cron: str | None = None
    every_s: float | None = None

    def new(
        self,
        arguments: Arguments,
        *,
        id: UUID,
        owner: str = "",
        lane: str | None = None,
        unique_key: str | None = None,
        priority: Priority | None = None,
        run_at: datetime | None = None,
    ) -> NewTask:
        """Return the row that enqueues it.

        Raises:
            ValueError: the arguments are longer than `ARGUMENTS_MAX_BYTES` as JSON.
        """
        encoded = self.adapter.dump_json(arguments)
        if len(encoded) > ARGUMENTS_MAX_BYTES:
            raise ValueError(f"{self.name}: the arguments have {len(encoded)} bytes, at most {ARGUMENTS_MAX_BYTES}")
        chosen = self.priority if priority is None else priority
        return NewTask(id, self.name, owner, lane, unique_key, int(chosen), encoded.decode(), run_at)

    def parse(self, arguments: str) -> Arguments:
        """Return the arguments of a task of this name.

        Raises:
            ValueError: they are not what the function takes; the text names the fields.
        """
        try:
            return self.adapter.validate_json(arguments)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in error.errors()
            )
            raise ValueError(f"{self.name}: {faults}") from None


class Registry(Generic[Services]):
    """Task definitions by name."""

    def __init__(self) -> None:
        self._definitions: dict[str, TaskDefinition[Services, Any]] = {}

    def task(self, name: str, **limits: Any) -> Callable[[Callable[..., Any]], TaskDefinition[Services, Any]]:
        """Register the decorated function under ``name``; ``limits`` are fields of `TaskDefinition`.

        The type of its last parameter is the type of its arguments.
        """

        def register(function: Callable[..., Any]) -> TaskDefinition[Services, Any]:
            assert name not in self._definitions, f"the task {name} is defined twice"
            assert 0 < len(name) <= NAME_MAX, f"the name {name!r} is too long"
            last = list(inspect.signature(function).parameters)[-1]
            adapter: TypeAdapter[Any] = TypeAdapter(get_type_hints(function)[last])
            definition = TaskDefinition[Services, Any](name, function, adapter, **limits)
            self._definitions[name] = definition
            return definition

        return register

    def find(self, name: str) -> TaskDefinition[Services, Any] | None:
        """Return the definition of that name, None where there is none."""
        return self._definitions.get(name)

    def __iter__(self) -> Iterator[TaskDefinition[Services, Any]]:
        return iter(self._definitions.values())
