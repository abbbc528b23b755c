"""Finds out who calls: from the keys that this process knows, else from the database."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from actors.pool.database import Database
from actors.pool.statement import BatchStatement
from actors.runtime.clock import Clock
from serve_app.domain.errors import LiveKeyRefused
from serve_app.merchants.secrets import digest, is_live, is_well_formed
from serve_app.middleware.authentication import Caller
from serve_app.storage.statements import load_statements

KEY_TTL_S = 2.0
"""How long a key is believed without asking again: revoking one takes effect everywhere within this time."""
_KEYS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _StoredKey:
    id: UUID
    merchant_id: UUID
    livemode: bool
    scopes: frozenset[str]
    rate_limit_per_minute: int | None
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Known:
    """A caller (None: there is no such key) and until when to believe it, on the monotonic clock."""

    caller: Caller | None
    until: float


class KeyAuthenticator:
    """Authenticates API keys. Unknown, revoked and expired keys all look the same to the caller."""

    def __init__(self, database: Database, pepper: bytes, clock: Clock, *, takes_live_keys: bool) -> None:
        self._takes_live_keys = takes_live_keys
        self._pepper = pepper
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._find = database.committer(
            BatchStatement[tuple[bytes], _StoredKey](
                name="find_keys",
                sql=load_statements("serve_app.merchants")["find_keys"],
                result=_stored_key,
                key=None,
                writes=False,
            )
        )

    def peek(self, secret: str) -> Caller | None:
        """Return the caller if this process knows the key well enough; None says nothing."""
        known = self._known.get(secret)
        return known.caller if known is not None and known.until > self._clock.monotonic() else None

    async def authenticate(self, secret: str) -> Caller | None:
        """Return the caller, None where the key is not valid.

        Raises:
            Unavailable: the database is away and the key is not known.
            LiveKeyRefused: it is a live key, and this gateway takes none.
        """
        known = self._known.get(secret)
        if known is not None and known.until > self._clock.monotonic():
            return known.caller
        if not is_well_formed(secret):
            return None
        if not self._takes_live_keys and is_live(secret):
            raise LiveKeyRefused
        asked_at = self._clock.monotonic()
        stored = await self._find.submit((digest(secret, self._pepper),))
        caller = self._caller(stored)
        self._remember(secret, _Known(caller, asked_at + KEY_TTL_S))
        return caller

    def _caller(self, stored: _StoredKey | None) -> Caller | None:
        if stored is None or stored.revoked_at is not None:
            return None
        if stored.expires_at is not None and stored.expires_at <= self._clock.now():
            return None
        return Caller(
            key_id=stored.id,
            merchant_id=stored.merchant_id,
            livemode=stored.livemode,
            scopes=stored.scopes,
            rate_limit_per_minute=stored.rate_limit_per_minute,
        )

    def _remember(self, secret: str, known: _Known) -> None:
        self._known[secret] = known
        self._known.move_to_end(secret)
        if len(self._known) > _KEYS_MAX:
            self._known.popitem(last=False)


def _stored_key(row: Any) -> _StoredKey:
    return _StoredKey(
        id=row["id"],
        merchant_id=row["merchant_id"],
        livemode=row["livemode"],
        scopes=frozenset(row["scopes"]),
        rate_limit_per_minute=row["rate_limit_per_minute"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
