"""Open attempts by id, when payments were authorized, and the check of the ledger."""

from __future__ import annotations

from serve_app.storage.migrations.script import run_script

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the column, the indexes and the tables."""
    run_script("0008_housekeeping.sql")
