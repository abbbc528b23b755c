"""Imports point one way: cluster -> serve_app -> actors."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]


def _imports(folder: str) -> Iterator[tuple[Path, str]]:
    """Yield each imported module of a folder's files, with the file; imports within functions included."""
    for file in sorted((_ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: imports are absolute"
                assert node.module is not None
                yield file, node.module


def _offences(folder: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{file.relative_to(_ROOT)} imports {module}"
        for file, module in _imports(folder)
        if any(module == name or module.startswith(f"{name}.") for name in forbidden)
    ]


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("actors", ("serve_app", "cluster", "tests")),
        ("serve_app", ("cluster", "tests")),
        ("cluster", ("tests",)),
        ("actors/runtime", ("actors.pool",)),
        ("actors/maintenance", ("ray", "starlette", "pydantic")),
        (
            "serve_app/domain",
            ("serve_app.storage", "serve_app.attempts", "serve_app.http", "pydantic", "asyncpg", "ray"),
        ),
        ("serve_app/compression", ("serve_app.http", "serve_app.middleware", "serve_app.ops", "starlette", "ray")),
        ("serve_app/attempts", ("serve_app.http", "starlette", "ray")),
        ("serve_app/callbacks", ("serve_app.tasks",)),
        ("serve_app/processors", ("serve_app.storage", "serve_app.attempts", "asyncpg", "ray")),
    ],
)
def test_a_layer_knows_nothing_of_those_above(folder: str, forbidden: tuple[str, ...]) -> None:
    """No import points up."""
    assert _offences(folder, forbidden) == []


def test_opentelemetry_s_sdk_is_loaded_where_something_is_exported_alone() -> None:
    """Actors know its API, and that in one place; what exports is one module, which others import when they need it."""
    api = {f"{file.relative_to(_ROOT)}" for file, module in _imports("actors") if module.startswith("opentelemetry")}
    assert api == {"actors/runtime/tracing.py"}
    for folder in ("actors", "serve_app", "cluster"):
        users = {
            str(file.relative_to(_ROOT))
            for file, module in _imports(folder)
            if module.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))
        }
        assert users <= {"serve_app/tracing/exporter.py"}


def test_the_domain_imports_the_standard_library_alone() -> None:
    """And itself."""
    outside = [
        f"{file.name} imports {module}"
        for file, module in _imports("serve_app/domain")
        if module.partition(".")[0] not in sys.stdlib_module_names and not module.startswith("serve_app.domain")
    ]
    assert outside == []


def test_families_of_actors_do_not_know_each_other() -> None:
    """A family imports the runtime; the scheduler, the optimizer and maintenance stand on the pool."""
    families = {path.name for path in (_ROOT / "actors").iterdir() if path.is_dir() and path.name != "__pycache__"}
    allowed = {family: {"runtime", family} for family in families}
    for family in ("scheduler", "optimizer", "maintenance"):
        allowed.setdefault(family, {"runtime", family}).add("pool")
    offences = [
        f"{file.relative_to(_ROOT)} imports {module}"
        for family in families
        for file, module in _imports(f"actors/{family}")
        if module.startswith("actors.") and module.split(".")[1] not in allowed[family]
    ]
    assert offences == []


def test_slices_do_not_use_each_other_s_repositories() -> None:
    """A slice has its own tables to itself; the wiring alone knows all."""
    slices = ("payments", "refunds", "merchants", "audit", "ops", "webhooks")
    offences = [
        f"{file.relative_to(_ROOT)} imports {module}"
        for name in slices
        for file, module in _imports(f"serve_app/{name}")
        for other in slices
        if other != name and module == f"serve_app.{other}.repository"
    ]
    assert offences == []


def test_only_the_settings_read_the_environment() -> None:
    """In the packages that run in Ray's processes nothing else looks at os.environ."""
    readers = [
        str(file.relative_to(_ROOT))
        for package in ("actors", "serve_app")
        for file in (_ROOT / package).rglob("*.py")
        if "os.environ" in file.read_text(encoding="utf-8") or "getenv" in file.read_text(encoding="utf-8")
    ]
    assert readers == []
