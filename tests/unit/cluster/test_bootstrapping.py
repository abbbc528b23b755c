"""What the bootstrap prints, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.bootstrapping import Bootstrap, parse_line
from cluster.data_dir import DataDir


@pytest.mark.parametrize("line", ["", "noise", "12", "[]", '{"level": "info"}', '{"ready": true}', "{"])
def test_what_a_library_prints_in_between_is_no_message(line: str) -> None:
    """Only the two agreed forms count."""
    assert parse_line(line) is None


async def test_steps_are_reported_noise_goes_to_the_log_and_the_end_is_kept(tmp_path: Path) -> None:
    """The launcher learns the keys from the last line."""
    data = DataDir(tmp_path)
    data.create()
    steps: list[tuple[str, float]] = []
    bootstrap = Bootstrap(
        data,
        needs=frozenset({"postgres"}),
        command=("true",),
        environment=lambda: {"A": "1"},
        on_step=lambda step, seconds: steps.append((step, seconds)),
    )
    launch = await bootstrap.prepare()
    assert launch.on_line is not None
    for line in ('{"step": "migrated", "seconds": 0.5}', "noise", '{"ready": {"api_key": "sk_test_1"}}'):
        launch.on_line(line)
    assert steps == [("migrated", 0.5)]
    assert launch.log.read_text() == "noise\n"
    assert bootstrap.ready == {"api_key": "sk_test_1"}
    assert bootstrap.plan.needs == {"postgres", "ray"}
    assert bootstrap.plan.awaits == bootstrap.plan.repeats_after == {"ray"}
