"""Finds out who calls: from the keys that this process knows, else through the cache."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from actors.cache.client import Loaded
from actors.pool.database import Database
from actors.pool.statement import BatchStatement
from actors.runtime.clock import Clock
from serve_app.caching.models import API_KEY, api_key_name
from serve_app.caching.reader import CachedReads
from serve_app.domain.errors import LiveKeyRefused
from serve_app.merchants.secrets import digest, is_live, is_well_formed
from serve_app.merchants.usage import KeyUsage
from serve_app.middleware.authentication import Caller
from serve_app.storage.statements import load_statements

_KEYS_MAX = 10_000


class _StoredKey(BaseModel):
    """A key as it is cached: whose it is and what it may do, and nothing by which it could be used."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    merchant_id: UUID
    livemode: bool
    scopes: frozenset[str]
    rate_limit_per_minute: int | None
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Known:
    """A caller, and what is believed of the key: `json` while the cache holds it near, without a cache `until`."""

    caller: Caller
    name: str
    json: bytes
    until: float
    expires_at: datetime | None


class KeyAuthenticator:
    """Authenticates API keys. Unknown, revoked and expired keys all look the same to the caller."""

    def __init__(
        self,
        database: Database,
        reads: CachedReads,
        usage: KeyUsage,
        pepper: bytes,
        clock: Clock,
        *,
        takes_live_keys: bool,
    ) -> None:
        self._reads = reads
        self._usage = usage
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
        if known is None or not self._reads.still_holds(known.name, known.json, known.until):
            return None
        if known.expires_at is not None and known.expires_at <= self._clock.now():
            return None
        return known.caller

    def is_familiar(self, secret: str) -> bool:
        """Say whether the key was valid when this process last asked about it."""
        return secret in self._known

    async def authenticate(self, secret: str) -> Caller | None:
        """Return the caller, None where the key is not valid.

        Raises:
            Unavailable: the database is away and the key is not known.
            LiveKeyRefused: it is a live key, and this gateway takes none.
        """
        if not is_well_formed(secret):
            return None
        if not self._takes_live_keys and is_live(secret):
            raise LiveKeyRefused
        asked_at = self._clock.monotonic()
        hashed = self.digest(secret)
        name = api_key_name(hashed)
        json = await self._reads.one(API_KEY, name, lambda: self._load(hashed))
        caller = None if json is None else self._caller(stored := _StoredKey.model_validate_json(json))
        if json is not None and caller is not None:
            self._remember(secret, _Known(caller, name, json, asked_at + API_KEY.ttl_s, stored.expires_at))
        else:
            self._known.pop(secret, None)
        return caller

    def digest(self, secret: str) -> bytes:
        """Return what is known of a key for good: it finds the key, and the key cannot be found from it."""
        return digest(secret, self._pepper)

    async def of_digest(self, hashed: bytes) -> Caller | None:
        """Return the caller whose key has that digest, None where the key is not valid any more.

        Raises:
            Unavailable: the database is away and the key is not cached.
        """
        json = await self._reads.one(API_KEY, api_key_name(hashed), lambda: self._load(hashed))
        return None if json is None else self._caller(_StoredKey.model_validate_json(json))

    def used(self, caller: Caller) -> None:
        """Note that the caller's key was used for a request, whatever comes of that."""
        self._usage.note(caller.key_id)

    async def _load(self, hashed: bytes) -> Loaded:
        stored = await self._find.submit((hashed,))
        return Loaded(None if stored is None else stored.model_dump_json().encode(), 0)

    def _caller(self, stored: _StoredKey) -> Caller | None:
        if stored.revoked_at is not None:
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
