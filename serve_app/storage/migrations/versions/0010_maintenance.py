"""The journal of maintenance, and the index that reads the audit trail of one object."""

from __future__ import annotations

from serve_app.storage.migrations.index import create_index_concurrently
from serve_app.storage.migrations.script import run_script

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Build the index, then create the table."""
    create_index_concurrently("audit_entries_by_object", "audit_entries (merchant_id, object_id, id)")
    run_script("0010_maintenance.sql")
