"""Durable tasks."""

from __future__ import annotations

from serve_app.storage.migrations.script import run_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables and functions."""
    run_script("0005_tasks.sql")
