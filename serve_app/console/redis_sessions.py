"""Sessions in Redis: ended for good on every replica at once."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Any

from actors.cache.level2.sealing import SealBroken, Sealer
from actors.cache.level2.server import Command, RedisServer
from actors.runtime.errors import OutcomeUnknown, Unavailable
from serve_app.console.session import IDLE_S, Now, Session, SessionsAway, decode, encode

PREFIX = "easypay:session:"
_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[0-9A-Za-z_-]{43}\Z")


class RedisSessions:
    """A session lies under the hash of its token, sealed under that name.

    Whoever reads Redis learns neither token nor key, and can put no session of one name under another. An older copy of
    the same session may be brought back by who can write there, or by a snapshot: it is over at the same time as ever.
    """

    def __init__(self, server: RedisServer, sealer: Sealer, now: Now) -> None:
        self._server = server
        self._sealer = sealer
        self._now = now

    async def begin(self, key_digest: str) -> str:
        """Return the token of a new session: 256 random bits."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._now()
        await self._store(_name(token), Session(key_digest, now, now), only_if_there=False)
        return token

    async def find(self, token: str) -> Session | None:
        """Return the session that is not over."""
        if not _TOKEN.match(token):
            return None
        name = _name(token)
        (stored,) = await self._run(name, "GET", name)
        if stored is None:
            return None
        try:
            session = decode(self._sealer.open(name, stored))
        except SealBroken:
            # Of a gateway with another key on the same Redis, or tampered with: no session of ours.
            return None
        return None if session is None or session.is_over(self._now()) else session

    async def use(self, token: str) -> str | None:
        """Count a use; the token stays."""
        session = await self.find(token)
        if session is None:
            return None
        # One that was ended since it was found stays ended.
        kept = await self._store(_name(token), session.used(self._now()), only_if_there=True)
        return token if kept else None

    async def end(self, token: str) -> None:
        """End the session."""
        if _TOKEN.match(token):
            name = _name(token)
            await self._run(name, "DEL", name)

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _store(self, name: str, session: Session, *, only_if_there: bool) -> bool:
        left_ms = max(1, round(min(session.ends_at - self._now(), IDLE_S) * 1000))
        sealed = self._sealer.seal(name, encode(session))
        condition = ("XX",) if only_if_there else ()
        (stored,) = await self._run(name, "SET", name, sealed, "PX", left_ms, *condition)
        return stored is not None

    async def _run(self, key: str, *words: Any) -> Sequence[Any]:
        try:
            answers = await self._server.call([Command(key, words)])
        except Unavailable as error:
            raise SessionsAway(error.reason) from error
        for answer in answers:
            if isinstance(answer, Unavailable | OutcomeUnknown):
                raise SessionsAway(answer.reason) from answer
        return answers


def _name(token: str) -> str:
    return PREFIX + hashlib.sha256(token.encode()).hexdigest()
