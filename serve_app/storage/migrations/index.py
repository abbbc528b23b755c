"""Builds an index on a table that may be large while everybody goes on writing."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

_LOCK_TIMEOUT = "60s"
"""For the end of transactions that began before the build: nobody waits behind it."""


def create_index_concurrently(name: str, definition: str) -> None:
    """Build an index outside of any transaction; safe to repeat. ``definition`` is what follows ON.

    It comes before everything else of its migration, whose transaction it would end: what is cut short after it finds
    the index when it runs again. One that an earlier try left unfinished is dropped and built anew.
    """
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
        try:
            is_valid = connection.execute(
                text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": name}
            ).scalar_one_or_none()
            if is_valid is False:
                connection.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
            connection.execute(text(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}"))
        finally:
            connection.execute(text("RESET lock_timeout"))
