"""The roles and the database of the embedded PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum

import asyncpg

DATABASE = "easypay"


class Role(Enum):
    """Who logs in. What the gateway's role may do with each table, the migrations say."""

    # Owns the database, migrates it, may make others.
    OWNER = "easypay_owner"
    # What the running gateway uses.
    APP = "easypay_app"


async def provision(
    server: asyncpg.Connection,
    passwords: Mapping[Role, str],
    connect: Callable[[], Awaitable[asyncpg.Connection]],
) -> None:
    """Make roles and database where they are missing and set the passwords; safe to repeat.

    `server` is a superuser's connection to any database; `connect` opens one to the gateway's.
    """
    for role, password in passwords.items():
        await _ensure_role(server, role, password)
    if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
        await server.execute(f"CREATE DATABASE {DATABASE} OWNER {Role.OWNER.value}")
        await server.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
        await server.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {Role.APP.value}")
    database = await connect()
    try:
        # Not a trusted extension: the owner could not make it himself.
        await database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        # Tells how full an index is, before it is built anew for being bloated.
        await database.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    finally:
        await database.close(timeout=5)


async def _ensure_role(server: asyncpg.Connection, role: Role, password: str) -> None:
    # Names are ours and the password is URL-safe base64: neither can end the literal. A utility command takes no
    # parameters.
    assert "'" not in password
    rights = "CREATEDB" if role is Role.OWNER else "NOCREATEDB"
    exists = await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role.value)
    verb = "ALTER" if exists else "CREATE"
    await server.execute(f"{verb} ROLE {role.value} LOGIN NOSUPERUSER {rights} PASSWORD '{password}'")
    # Reads pg_stat_statements of all roles, and the sizes and settings that the monitor shows.
    await server.execute(f"GRANT pg_monitor TO {role.value}")
