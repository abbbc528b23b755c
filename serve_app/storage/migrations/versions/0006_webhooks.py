"""Webhooks: endpoints, deliveries and their tries, and the order of the event feed."""

from __future__ import annotations

from serve_app.storage.migrations.script import run_script

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables and the index."""
    run_script("0006_webhooks.sql")
