"""The trace that a task belongs to."""

from __future__ import annotations

from serve_app.storage.migrations.script import run_script

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column."""
    run_script("0011_task_traces.sql")
