"""Which functions can be run as tasks. A registry is a value: whoever needs one is given it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Generic, Protocol, TypedDict, TypeVar, Unpack, get_type_hints, overload

from pydantic import TypeAdapter

from actors.scheduler.cron import CatchUp, Cron, Every, Schedule
from actors.scheduler.definition import Kind, Run, Services, TaskDefinition
from actors.scheduler.retry import RetryPolicy
from actors.scheduler.task import Priority

__all__ = ["Kind", "Limits", "Registry", "Run", "TaskDefinition"]

Arguments = TypeVar("Arguments")


class Limits(TypedDict, total=False):
    """What a decorator takes beside the name: fields of `TaskDefinition`, and when it runs by itself.

    ``cron`` (five fields, UTC) or ``every_s``, not both.
    """

    priority: Priority
    retry: RetryPolicy
    timeout_s: float
    concurrency_max: int
    lane_width: int
    cron: str
    every_s: float
    catch_up: CatchUp


class IoDecorator(Protocol[Services]):
    """Makes a definition of a coroutine function that takes its `Run`, and its arguments if it has any."""

    @overload
    def __call__(
        self, function: Callable[[Run[Services]], Coroutine[Any, Any, None]], /
    ) -> TaskDefinition[Services, None]: ...

    @overload
    def __call__(
        self, function: Callable[[Run[Services], Arguments], Coroutine[Any, Any, None]], /
    ) -> TaskDefinition[Services, Arguments]: ...


class CpuDecorator(Protocol[Services]):
    """Makes a definition of a plain function that takes its arguments alone, if it has any."""

    @overload
    def __call__(self, function: Callable[[], None], /) -> TaskDefinition[Services, None]: ...

    @overload
    def __call__(self, function: Callable[[Arguments], None], /) -> TaskDefinition[Services, Arguments]: ...


class Registry(Generic[Services]):
    """Task definitions by name."""

    def __init__(self) -> None:
        self._definitions: dict[str, TaskDefinition[Services, Any]] = {}

    def task(self, name: str, **limits: Unpack[Limits]) -> IoDecorator[Services]:
        """Register the decorated coroutine function, which runs on a worker's event loop.

        It takes ``(run)`` or ``(run, arguments)``; a function that runs by itself ``(run)`` or ``(run, due_at)``. The
        annotation of the argument is what its JSON is checked against.

        Raises:
            ValueError: the function does not take that, a limit is out of range, or the name is taken.
        """
        return self._decorator(name, Kind.IO, limits)

    def cpu_task(self, name: str, **limits: Unpack[Limits]) -> CpuDecorator[Services]:
        """Register the decorated plain function, which runs in a process of its own with a CPU.

        It takes nothing or ``(arguments)``; a function that runs by itself nothing or ``(due_at)``. Raises as `task`.
        """
        return self._decorator(name, Kind.CPU, limits)

    def find(self, name: str) -> TaskDefinition[Services, Any] | None:
        """Return the definition of that name, None where there is none."""
        return self._definitions.get(name)

    def __iter__(self) -> Iterator[TaskDefinition[Services, Any]]:
        return iter(self._definitions.values())

    def _decorator(self, name: str, kind: Kind, limits: Limits) -> Callable[..., TaskDefinition[Services, Any]]:
        def register(function: Callable[..., Any], /) -> TaskDefinition[Services, Any]:
            if name in self._definitions:
                raise ValueError(f"{name}: there is a task of this name")
            definition = _define(name, function, kind, limits)
            self._definitions[name] = definition
            return definition

        return register


def _define(name: str, function: Callable[..., Any], kind: Kind, limits: Limits) -> TaskDefinition[Any, Any]:
    if inspect.iscoroutinefunction(function) != (kind is Kind.IO):
        raise ValueError(f"{name}: {'a coroutine' if kind is Kind.IO else 'a plain'} function is expected")
    parameters = list(inspect.signature(function).parameters)
    given = 1 if kind is Kind.IO else 0
    if not given <= len(parameters) <= given + 1:
        raise ValueError(f"{name}: the function takes {', '.join(parameters) or 'nothing'}")
    takes_arguments = len(parameters) > given
    if takes_arguments and parameters[-1] not in function.__annotations__:
        raise ValueError(f"{name}: {parameters[-1]} has no annotation")
    schedule = _schedule(name, limits)
    type_: Any = _type_of(parameters[-1], function) if takes_arguments else None
    if schedule is not None and takes_arguments and type_ is not datetime:
        raise ValueError(f"{name}: {parameters[-1]} of a function that runs by itself is the datetime it was due")
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    rest: dict[str, Any] = {key: value for key, value in limits.items() if key not in ("cron", "every_s")}
    return TaskDefinition(name, function, adapter, takes_arguments, kind, schedule=schedule, **rest)


def _type_of(parameter: str, function: Callable[..., Any]) -> Any:
    """Return what a parameter is annotated with. Only its names have to be there, not those of the services' types."""
    alone = SimpleNamespace(__annotations__={parameter: function.__annotations__[parameter]})
    return get_type_hints(alone, function.__globals__)[parameter]


def _schedule(name: str, limits: Limits) -> Schedule | None:
    cron, every_s = limits.get("cron"), limits.get("every_s")
    if cron is not None and every_s is not None:
        raise ValueError(f"{name}: cron and every_s are given, one is possible")
    try:
        if cron is not None:
            return Cron(cron)
        return None if every_s is None else Every(every_s)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
