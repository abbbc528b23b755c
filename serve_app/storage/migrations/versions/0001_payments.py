"""Merchants, keys, payments, attempts, refunds, the ledger, events, audit and idempotency."""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first schema."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    schema = resources.files("serve_app.storage.migrations").joinpath("versions/0001_payments.sql")
    script = schema.read_text(encoding="utf-8")
    # The driver's own `execute` takes a script of many statements; SQLAlchemy would prepare it as one.
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None, "migrations run on a connection"
    connection.run_async(lambda driver: driver.execute(script))
