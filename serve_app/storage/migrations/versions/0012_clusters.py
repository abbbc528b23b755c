"""Which clusters share the database, and since when a shard's values in Redis are its cluster's alone."""

from __future__ import annotations

from serve_app.storage.migrations.script import run_script

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the tables, and add the column."""
    run_script("0012_clusters.sql")
