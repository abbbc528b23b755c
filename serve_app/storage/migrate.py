"""Brings a database to the current schema and grants the gateway's role what it needs, and no more."""

from __future__ import annotations

from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from actors.pool.servers.dial import dial
from actors.pool.turn import TURN

_MIGRATION_LOCK = 0x65617379706179
"""Key of the advisory lock that lets one migration run at a time."""

# A vacuum, a rebuild or the build of an index keeps its table from being altered, for hours where it is large. Whoever
# has the turn is at that, and begins again some time.
_END_WORK_ON_TABLES = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND usename = current_user AND datname = current_database()
  AND (classid::bigint << 32) + objid::bigint = CAST(:turn AS bigint) AND objsubid = 1
"""

_GRANTS = """
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT EXECUTE ON FUNCTION make_task_days(int), drop_task_day(int) TO {role};
REVOKE UPDATE, DELETE, TRUNCATE ON ledger_postings, audit_entries, settlement_items FROM {role};
"""


async def upgrade(owner_url: str, app_role: str) -> None:
    """Migrate the database at `owner_url` to the newest schema; safe to repeat and to run from several places at once.

    `app_role` is the role that the gateway logs in with; it cannot update or delete ledger postings, audit entries and
    settlement items.
    Where it is the owner itself there is nothing to grant, and triggers alone keep those tables append-only.
    """
    engine = create_async_engine("postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: dial(owner_url))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            await connection.commit()
            if await connection.run_sync(_is_behind):
                await connection.execute(text(_END_WORK_ON_TABLES), {"turn": TURN})
                # Until the migration's session ends.
                await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": TURN})
            await connection.commit()
            await connection.run_sync(_upgrade)
            await connection.run_sync(_grant, app_role)
            await connection.commit()
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_behind(connection: Connection) -> bool:
    heads = ScriptDirectory.from_config(_config()).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) != set(heads)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("serve_app.storage").joinpath("migrations")))
    return config


def _grant(connection: Connection, app_role: str) -> None:
    if connection.execute(text("SELECT current_user")).scalar_one() == app_role:
        return
    quoted = connection.dialect.identifier_preparer.quote_identifier(app_role)
    for statement in _GRANTS.format(role=quoted).split(";"):
        if statement.strip():
            connection.exec_driver_sql(statement)
