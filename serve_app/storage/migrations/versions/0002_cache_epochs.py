"""Which incarnation of each cache shard is the latest, and where in Redis its values are."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE cache_epochs (
            shard       text PRIMARY KEY,
            incarnation bigint NOT NULL,
            namespace   bigint NOT NULL,
            redis       text NOT NULL
        )
        """
    )
    op.execute(
        "COMMENT ON COLUMN cache_epochs.namespace IS "
        "'What Redis holds of the shard under any other number may be out of date, and is never read again.'"
    )
    op.execute(
        "COMMENT ON COLUMN cache_epochs.redis IS "
        "'The identity of the servers that the namespace was begun on: another one may have come back with the past.'"
    )
