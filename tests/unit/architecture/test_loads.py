"""What a process does not load, so that it starts soon: most of the gateway's start is imports, in many processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle

from actors.breaker.actor import BREAKER_BOARD_NAME
from actors.cache.sharding.keeper_actor import RING_KEEPER_NAME
from actors.cache.sharding.stored import SHARD_PREFIX
from actors.optimizer.client import OPTIMIZER_NAME
from actors.pool.actor import POOL_MANAGER_NAME
from actors.runtime.spec import ActorSpec
from actors.scheduler.client import SCHEDULER_NAME
from cluster.settings import Settings
from cluster.topology import cache_shards, desired_actors

_ROOT = Path(__file__).parents[3]

_SERVE = ("ray.serve", "fastapi", "pandas")
_SERVICES = ("serve_app.services", "serve_app.app", "starlette", "aiohttp")


def _loaded(program: str) -> set[str]:
    """Return the modules that a new process has loaded after a program."""
    end = "import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{end}"], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def _within(modules: set[str], packages: tuple[str, ...]) -> list[str]:
    return sorted(
        name for name in modules if any(name == package or name.startswith(f"{package}.") for package in packages)
    )


def test_easypay_up_loads_no_other_command() -> None:
    """Nothing else has begun while the launcher is loaded, so all of it is waited for."""
    modules = _loaded("from cluster.cli.app import command_line; command_line('up')")
    assert "cluster.launcher" in modules
    assert _within(modules, ("ray", "sqlalchemy", "alembic", "aiohttp", "sqlglot")) == []


def test_the_head_loads_nothing_of_serve() -> None:
    """Ray's whole command line would, and workers and the driver wait for the head."""
    leave_out = "from cluster.control_store import leave_out_unused_commands; leave_out_unused_commands()"
    modules = _loaded(f"{leave_out}; import ray.scripts.scripts")
    assert "ray.scripts.scripts" in modules
    assert _within(modules, ("ray.serve", "fastapi", "pandas", "pyarrow")) == ["ray.serve.scripts"]


def _specs() -> Iterator[ActorSpec]:
    settings = Settings(database_url="postgresql://app@db/x", api_key_pepper="p" * 32)
    yield from desired_actors(settings)
    shards = cache_shards(settings)
    assert shards is not None
    yield shards.member(f"{SHARD_PREFIX}0")


@pytest.mark.parametrize(
    ("name", "others"),
    [
        (BREAKER_BOARD_NAME, ("redis", "sqlglot", *_SERVICES)),
        (POOL_MANAGER_NAME, ("redis", "sqlglot", "opentelemetry.sdk", *_SERVICES)),
        (RING_KEEPER_NAME, ("redis", "sqlglot", "opentelemetry.sdk", *_SERVICES)),
        (SCHEDULER_NAME, ("redis", "sqlglot", "opentelemetry.sdk", *_SERVICES)),
        (OPTIMIZER_NAME, ("redis", "opentelemetry.sdk", *_SERVICES)),
        (f"{SHARD_PREFIX}0", ("sqlglot", *_SERVICES)),
    ],
)
def test_an_actor_loads_what_it_uses(name: str, others: tuple[str, ...]) -> None:
    """Its class and its arguments, as Ray has its process load them, bring in nothing of these."""
    (spec,) = (spec for spec in _specs() if spec.name == name)
    modules = _loaded(_that_loads(spec.actor_class, spec.arguments))
    assert spec.actor_class.__module__ in modules
    assert _within(modules, _SERVE + others) == []


def _that_loads(*what: Any) -> str:
    sent: bytes = cloudpickle.dumps(what)  # type: ignore[no-untyped-call]
    return f"import pickle; pickle.loads(bytes.fromhex({sent.hex()!r}))"
