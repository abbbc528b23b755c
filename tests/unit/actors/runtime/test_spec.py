"""Specifications of actors."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from actors.pool.actor import PoolManagerActor
from actors.runtime.spec import ActorSpec


def _actor_class(module_file: Path) -> type[Any]:
    name = f"spec_sample_{module_file.parent.name}"
    spec = importlib.util.spec_from_file_location(name, module_file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    actor: type[Any] = module.Sample
    return actor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write an actor and its algorithm."""
    (tmp_path / "actor.py").write_text("class Sample:\n    pass\n")
    (tmp_path / "algorithm.py").write_text("ANSWER = 42\n")
    return tmp_path


def test_the_version_is_stable_and_short() -> None:
    """The same source has the same twelve digits, whatever the options."""
    one = ActorSpec("a", PoolManagerActor)
    other = ActorSpec("b", PoolManagerActor, ("argument",), max_concurrency=1)
    assert one.code_version == other.code_version
    assert len(one.code_version) == 12


def test_the_version_changes_with_the_package(folder: Path) -> None:
    """The algorithm lies beside the class: a change there replaces the actor too."""
    (folder / "__init__.py").touch()
    spec = ActorSpec("a", _actor_class(folder / "actor.py"))
    before = spec.code_version
    (folder / "algorithm.py").write_text("ANSWER = 43\n")
    assert spec.code_version != before


def test_outside_a_package_the_module_alone_counts(folder: Path) -> None:
    """Scripts beside each other are strangers."""
    spec = ActorSpec("a", _actor_class(folder / "actor.py"))
    before = spec.code_version
    (folder / "algorithm.py").write_text("ANSWER = 43\n")
    assert spec.code_version == before
    (folder / "actor.py").write_text("class Sample:\n    changed = True\n")
    assert spec.code_version != before
