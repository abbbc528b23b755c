"""What can be run as a task, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from actors.runtime.tracing import traceparent
from actors.scheduler.cron import CatchUp, Schedule
from actors.scheduler.retry import RetryPolicy
from actors.scheduler.task import NewTask, Priority

Services = TypeVar("Services")
Arguments = TypeVar("Arguments")

ARGUMENTS_MAX_BYTES = 64 * 1024
NAME_MAX = 100
KEY_MAX = 200


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

    ``function`` takes what `Kind` says: `Run` and the arguments (IO), or the arguments alone (CPU); where
    ``takes_arguments`` is false, all but these. ``concurrency_max`` bounds its runs at once over all workers,
    ``lane_width`` those of one lane; ``timeout_s`` ends a run as a failure. ``schedule`` has it run by itself; its
    argument, if it takes one, is the time for which it was due.
    """

    name: str
    function: Callable[..., Any]
    adapter: TypeAdapter[Arguments]
    takes_arguments: bool = True
    kind: Kind = Kind.IO
    priority: Priority = Priority.NORMAL
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float = 60.0
    concurrency_max: int = 1000
    lane_width: int = 1
    schedule: Schedule | None = None
    catch_up: CatchUp = CatchUp.LAST

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= NAME_MAX:
            raise ValueError(f"name: {self.name!r} has {len(self.name)} characters, from 1 to {NAME_MAX} are allowed")
        for limit in ("concurrency_max", "lane_width", "timeout_s"):
            if not getattr(self, limit) > 0:
                raise ValueError(f"{self.name}: {limit} is {getattr(self, limit)}, it has to be above 0")

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
        """Return the row that enqueues it; its runs belong to the current span's trace.

        Raises:
            ValueError: the arguments are longer than `ARGUMENTS_MAX_BYTES` as JSON; ``owner``, ``lane`` or
                ``unique_key`` is longer than `KEY_MAX` characters; ``run_at`` has no time zone.
        """
        encoded = self.adapter.dump_json(arguments)
        if len(encoded) > ARGUMENTS_MAX_BYTES:
            raise ValueError(f"{self.name}: the arguments have {len(encoded)} bytes, at most {ARGUMENTS_MAX_BYTES}")
        for field_name, key in (("owner", owner), ("lane", lane), ("unique_key", unique_key)):
            if key is not None and len(key) > KEY_MAX:
                raise ValueError(f"{self.name}: {field_name} has {len(key)} characters, at most {KEY_MAX}")
        if run_at is not None and run_at.tzinfo is None:
            raise ValueError(f"{self.name}: run_at has no time zone")
        chosen = self.priority if priority is None else priority
        trace = traceparent()
        told = None if trace is None else trace.encode()
        return NewTask(id, self.name, owner, lane, unique_key, int(chosen), encoded.decode(), run_at, told)

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
