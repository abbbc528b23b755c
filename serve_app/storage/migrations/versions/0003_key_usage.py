"""How API keys are used, and how far each journal of the cache is applied."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column and the tables."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE api_keys ADD COLUMN last_used_at timestamptz")
    # It is written up to once a second for each key in use: room on each page lets that touch no index (HOT).
    op.execute("ALTER TABLE api_keys SET (fillfactor = 70)")
    op.execute(
        """
        CREATE TABLE api_key_usage (
            key_id      uuid NOT NULL REFERENCES api_keys ON DELETE CASCADE,
            day         date NOT NULL,
            requests    bigint NOT NULL CHECK (requests > 0),
            PRIMARY KEY (key_id, day)
        ) WITH (fillfactor = 70)
        """
    )
    op.execute("COMMENT ON COLUMN api_key_usage.day IS 'In UTC.'")
    op.execute(
        """
        CREATE TABLE cache_journals (
            name             text PRIMARY KEY,
            owner            bigint NOT NULL,
            applied_ms       bigint NOT NULL,
            applied_sequence bigint NOT NULL,
            applied_at       timestamptz
        ) WITH (fillfactor = 70)
        """
    )
    op.execute(
        "COMMENT ON COLUMN cache_journals.applied_ms IS "
        "'With applied_sequence the id of the last entry applied: entries up to it are passed over, so setting it back "
        "counts twice.'"
    )
    op.execute(
        "COMMENT ON COLUMN cache_journals.owner IS "
        "'The incarnation of the shard that has the journal: one of a lower number gives way.'"
    )
