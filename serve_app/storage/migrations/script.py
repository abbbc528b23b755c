"""Runs a migration that is written in SQL."""

from __future__ import annotations

from importlib import resources

from alembic import op


def run_script(name: str) -> None:
    """Run a file of ``versions``: many statements in the migration's own transaction, under a lock timeout."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    script = resources.files("serve_app.storage.migrations").joinpath(f"versions/{name}").read_text(encoding="utf-8")
    # The driver's own `execute` takes a script of many statements; SQLAlchemy would prepare it as one.
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None, "migrations run on a connection"
    connection.run_async(lambda driver: driver.execute(script))
