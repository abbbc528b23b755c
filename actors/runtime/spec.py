"""What an actor of the system should be: its name, class, arguments and options, and the version of its code."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import ray
from ray._raylet import IMPLICIT_RESOURCE_PREFIX  # type: ignore[attr-defined]  # Cython
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

SPREAD_HERE = {"easypay/spread": "here"}
"""The label of the nodes for actors that are spread. Where none is alive, any node is for them."""

_TRACE = {f"{IMPLICIT_RESOURCE_PREFIX}easypay": 0.0001}
"""The least there is of what each node has one of unasked. Ray places an actor that takes nothing at random, whatever
its strategy; those that take a trace go round the nodes."""


@dataclass(frozen=True)
class ActorSpec:
    """A named, detached actor that restarts without limit.

    ``actor_class`` is ``Supervised``: its constructor takes the version of the code before ``arguments``.
    ``max_concurrency`` bounds the calls that run at once, ``max_pending_calls`` those that one handle may have open;
    beyond it callers get ``Overloaded``. ``resources`` are Ray's custom resources. ``packages`` are those whose code it
    runs beside its own. ``spread``: it is one of several like it, which go to different machines as far as there are,
    to those with the label ``SPREAD_HERE`` where there are any.
    ``node``: by the id of Ray, the only one where it may be; it ends with that.
    """

    name: str
    actor_class: type[Any]
    arguments: tuple[Any, ...] = ()
    max_concurrency: int = 100
    max_pending_calls: int = 1000
    resources: Mapping[str, float] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    spread: bool = False
    node: str | None = None

    @property
    def code_version(self) -> str:
        """Twelve hex digits that change with any module or SQL in the class's own package or in ``packages``."""
        digest = hashlib.sha256()
        for path in _sources(self.actor_class, self.packages):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:12]


def create(spec: ActorSpec, namespace: str) -> Any:
    """Create the actor, or find the one that has its name, and return its handle. Blocks; safe to repeat."""
    remote = ray.remote(spec.actor_class)
    return remote.options(
        name=spec.name,
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        # What may be repeated is known to the client, not to Ray.
        max_task_retries=0,
        max_concurrency=spec.max_concurrency,
        max_pending_calls=spec.max_pending_calls,
        # Clients call some of them several times a second for as long as they live: to keep account of each call costs
        # Ray's control store and dashboard more than it could tell anybody.
        enable_task_events=False,
        # Actors decide; the work is done elsewhere. A whole CPU each would leave none for jobs.
        num_cpus=0,
        **_placement(spec),
    ).remote(spec.code_version, *spec.arguments)


def _placement(spec: ActorSpec) -> dict[str, Any]:
    resources = dict(spec.resources)
    if spec.node is not None:
        affinity = NodeAffinitySchedulingStrategy(spec.node, soft=False)
        return {"resources": resources or None, "scheduling_strategy": affinity}
    if not spec.spread:
        return {"resources": resources or None, "scheduling_strategy": "DEFAULT"}
    return {
        "resources": resources | _TRACE,
        "scheduling_strategy": "SPREAD",
        "label_selector": SPREAD_HERE,
        "fallback_strategy": [{"label_selector": {}}],
    }


def _sources(actor_class: type[Any], packages: Sequence[str]) -> list[Path]:
    """Return the files that define the actor: its whole package, for the algorithm lies beside the class."""
    path = Path(inspect.getfile(actor_class))
    folders = [Path(str(resources.files(package))) for package in packages]
    if not (path.parent / "__init__.py").exists():
        return [path, *_files(folders)]
    return _files([path.parent, *folders])


def _files(folders: Sequence[Path]) -> list[Path]:
    return sorted(path for folder in folders for pattern in ("*.py", "*.sql") for path in folder.rglob(pattern))
