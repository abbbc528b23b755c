"""The journal of the query optimizer, and its owner's epoch."""

from __future__ import annotations

from serve_app.storage.migrations.script import run_script

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables."""
    run_script("0009_optimizer.sql")
