"""Merchants, keys, payments, attempts, refunds, the ledger, events, audit and idempotency."""

from __future__ import annotations

from serve_app.storage.migrations.script import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first schema."""
    run_script("0001_payments.sql")
