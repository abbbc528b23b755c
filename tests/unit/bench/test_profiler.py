"""Where the samples of a profile fall."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.profiler import package_of, self_times


@pytest.mark.parametrize(
    ("file", "package"),
    [
        ("/v/lib/python3.11/site-packages/asyncpg/pool.py", "asyncpg"),
        ("/v/lib/python3.11/site-packages/ray/serve/_private/replica.py", "ray/serve"),
        ("/src/serve_app/payments/service.py", "serve_app/payments"),
        ("/src/actors/pool/group.py", "actors/pool"),
        ("/usr/lib/python3.11/json/decoder.py", "json"),
        ("uvicorn/server.py", "uvicorn"),
    ],
)
def test_files_are_grouped_by_package(file: str, package: str) -> None:
    """Ours by folder, others by the name under which they are installed."""
    assert package_of(file) == package


def test_self_time_is_the_innermost_frame(tmp_path: Path) -> None:
    """A sample counts for the function that ran, not for its callers."""
    frames = [{"name": "main", "file": "/src/serve_app/app.py"}, {"name": "fetch", "file": "asyncpg/pool.py"}]
    profile = {"samples": [[0, 1], [0], []], "weights": [3.0, 1.0, 5.0]}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"shared": {"frames": frames}, "profiles": [profile]}))
    functions, packages = self_times(path)
    assert [(time.where, time.share) for time in functions] == [
        ("fetch (asyncpg/pool.py)", 0.75),
        ("main (serve_app/app.py)", 0.25),
    ]
    assert [time.where for time in packages] == ["asyncpg", "serve_app"]
