"""How many cache shards a gateway has, and the change of that which is under way."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE cache_rings (
            gateway     text PRIMARY KEY,
            version     bigint NOT NULL,
            shards      integer NOT NULL CHECK (shards > 0),
            changing_to integer CHECK (changing_to > 0),
            wanted      integer NOT NULL CHECK (wanted > 0),
            configured  integer NOT NULL
        )
        """
    )
    op.execute(
        "COMMENT ON COLUMN cache_rings.changing_to IS "
        "'While there is a value no shard that starts serves any key: every shard of the ring is being retired.'"
    )
    op.execute(
        "COMMENT ON COLUMN cache_rings.configured IS "
        "'CACHE_SHARDS at the last start: where it differs at the next, that is wanted, else what was wanted since.'"
    )
