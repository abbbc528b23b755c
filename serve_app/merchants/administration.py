"""Makes, lists and revokes API keys: what an operator does from the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from actors.pool.servers.dial import dial
from serve_app.domain.ids import Prefix, new_id, parse_id, public_id
from serve_app.merchants.secrets import Scope, digest, new_secret
from serve_app.storage.statements import load_statements

_CONNECT_TIMEOUT_S = 5.0
USAGE_DAYS = 30


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """A key as it can be shown again: everything but the key. ``requests_30_days`` counts today (UTC) and the 29 days
    before; what is told of its use may be some seconds old."""

    id: str
    merchant_id: str
    merchant: str
    livemode: bool
    last4: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    requests_30_days: int


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. `api_key` is shown this once."""

    id: str
    api_key: str
    merchant_id: str
    merchant: str
    livemode: bool
    scopes: Sequence[str]
    expires_at: datetime | None


async def create_key(
    database_url: str,
    pepper: bytes,
    *,
    merchant: str,
    scopes: Sequence[str],
    rate_limit_per_minute: int | None = None,
    livemode: bool = False,
    expires_at: datetime | None = None,
) -> IssuedKey:
    """Make a key for the merchant of that name, who is made where there is none.

    A rate limit that is given is the merchant's from now on.

    Raises:
        ValueError: no scope, or one that does not exist.
    """
    wanted = _checked_scopes(scopes)
    secret = new_secret(livemode)
    sql = load_statements("serve_app.merchants")
    key_id = new_id()
    async with _connected(database_url) as connection, connection.transaction():
        merchant_id = await connection.fetchval(sql["put_merchant"], new_id(), merchant, rate_limit_per_minute)
        await connection.execute(
            sql["create_key"],
            key_id,
            merchant_id,
            livemode,
            digest(secret, pepper),
            secret[-4:],
            wanted,
            expires_at,
        )
        await _audit(connection, sql["audit_key"], merchant_id, livemode, "api_key.create", key_id)
    return IssuedKey(
        id=public_id(Prefix.API_KEY, key_id),
        api_key=secret,
        merchant_id=public_id(Prefix.MERCHANT, merchant_id),
        merchant=merchant,
        livemode=livemode,
        scopes=wanted,
        expires_at=expires_at,
    )


async def is_valid_key(database_url: str, pepper: bytes, api_key: str) -> bool:
    """Say whether this database knows the key, and it is neither revoked nor expired."""
    sql = load_statements("serve_app.merchants")
    async with _connected(database_url) as connection:
        valid: bool = await connection.fetchval(sql["is_valid_key"], digest(api_key, pepper))
    return valid


async def list_keys(database_url: str) -> list[KeyDescription]:
    """Return every key, newest first."""
    sql = load_statements("serve_app.merchants")
    async with _connected(database_url) as connection:
        rows = await connection.fetch(sql["list_keys"], USAGE_DAYS)
    return [
        KeyDescription(
            id=public_id(Prefix.API_KEY, row["id"]),
            merchant_id=public_id(Prefix.MERCHANT, row["merchant_id"]),
            merchant=row["merchant"],
            livemode=row["livemode"],
            last4=row["last4"],
            scopes=row["scopes"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
            last_used_at=row["last_used_at"],
            requests_30_days=row["requests"],
        )
        for row in rows
    ]


async def revoke_key(database_url: str, key: str) -> str | None:
    """Revoke the key of that id and return its merchant's; None where there is none.

    Raises:
        ValueError: not an id of a key.
    """
    key_id = parse_id(Prefix.API_KEY, key)
    if key_id is None:
        raise ValueError(f"{key!r} is not the id of a key: those start with key_")
    sql = load_statements("serve_app.merchants")
    async with _connected(database_url) as connection, connection.transaction():
        row = await connection.fetchrow(sql["revoke_key"], key_id)
        if row is None:
            return None
        await _audit(connection, sql["audit_key"], row["merchant_id"], row["livemode"], "api_key.revoke", key_id)
    return public_id(Prefix.MERCHANT, row["merchant_id"])


def _checked_scopes(scopes: Sequence[str]) -> list[str]:
    known = {scope.value for scope in Scope}
    unknown = [scope for scope in scopes if scope not in known]
    if unknown or not scopes:
        raise ValueError(f"scopes: {', '.join(unknown) or 'none given'}; there are {', '.join(sorted(known))}")
    return sorted(set(scopes))


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await dial(database_url, timeout=_CONNECT_TIMEOUT_S)
    try:
        yield connection
    finally:
        await connection.close()


async def _audit(
    connection: asyncpg.Connection, sql: str, merchant_id: UUID, livemode: bool, action: str, key_id: UUID
) -> None:
    await connection.execute(sql, merchant_id, new_id(), livemode, action, public_id(Prefix.API_KEY, key_id))
