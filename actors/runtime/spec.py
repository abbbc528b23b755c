"""What an actor of the system should be: its name, class, arguments and options, and the version of its code."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray


@dataclass(frozen=True)
class ActorSpec:
    """A named, detached actor that restarts without limit.

    `actor_class` is Supervised: its constructor takes the version of the code before the arguments. `max_pending_calls` bounds its mailbox; beyond it callers get Overloaded.
    """

    name: str
    actor_class: type[Any]
    arguments: tuple[Any, ...] = ()
    max_concurrency: int = 100
    max_pending_calls: int = 1000

    @property
    def code_version(self) -> str:
        """Twelve hex digits that change with the source of the actor's module."""
        module = inspect.getmodule(self.actor_class)
        source = inspect.getsource(module if module is not None else self.actor_class)
        return hashlib.sha256(source.encode()).hexdigest()[:12]


def create(spec: ActorSpec, namespace: str) -> Any:
    """Create the actor, or find the one that has its name, and return its handle. Blocks; safe to repeat."""
    remote: Callable[..., Any] = ray.remote(spec.actor_class).options
    return remote(
        name=spec.name,
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=spec.max_concurrency,
        max_pending_calls=spec.max_pending_calls,
        # Actors decide; the work is done elsewhere. A whole CPU each would leave none for jobs.
        num_cpus=0,
    ).remote(spec.code_version, *spec.arguments)
