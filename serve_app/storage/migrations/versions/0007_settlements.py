"""Settlements, and what batch jobs remember."""

from __future__ import annotations

from serve_app.storage.migrations.script import run_script

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables and the index that jobs walk the books by."""
    run_script("0007_settlements.sql")
