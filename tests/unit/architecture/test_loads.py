"""What a process does not load, so that it starts soon: most of the gateway's start is imports, in many processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]


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
