"""Sessions that the browser itself holds, sealed: for a gateway without Redis.

Every replica has the key, so every replica knows them. The price is that nobody remembers which of them were ended: who
has copied a token may use it until it is over, though its owner has signed out. So they last a quarter of the time, and
`easypay keys revoke` ends them at once. Rejected: sessions in a cache shard, which a restart without Redis forgets;
sessions in PostgreSQL, where each request of the page would cost a statement, in the very hour in which it is short of
connections; a signature instead of a seal, which would show the digest of the key.
"""

from __future__ import annotations

import base64

from actors.cache.level2.sealing import SealBroken, Sealer
from serve_app.console.session import IDLE_S, LIFETIME_S, Now, Session, decode, encode

SHORTER = 4
_NAME = "easypay operator session"
_TOKEN_LENGTH_MAX = 512


class SealedSessions:
    """A token is the session, sealed."""

    def __init__(self, sealer: Sealer, now: Now) -> None:
        self._sealer = sealer
        self._now = now

    async def begin(self, key_digest: str) -> str:
        """Return the token of a new session."""
        now = self._now()
        return self._sealed(Session(key_digest, now, now))

    async def find(self, token: str) -> Session | None:
        """Return the session that is not over."""
        if len(token) > _TOKEN_LENGTH_MAX:
            return None
        try:
            session = decode(self._sealer.open(_NAME, _read(token)))
        except (SealBroken, ValueError):
            return None
        return None if session is None or self._is_over(session) else session

    async def use(self, token: str) -> str | None:
        """Count a use; return the new token."""
        session = await self.find(token)
        return None if session is None else self._sealed(session.used(self._now()))

    async def end(self, token: str) -> None:
        """Do nothing: the browser is told to forget the token, and nobody else has it."""

    async def close(self) -> None:
        """Nothing is open."""

    def _sealed(self, session: Session) -> str:
        return base64.urlsafe_b64encode(self._sealer.seal(_NAME, encode(session))).decode("ascii")

    def _is_over(self, session: Session) -> bool:
        now = self._now()
        return now >= min(session.begun_at + LIFETIME_S / SHORTER, session.used_at + IDLE_S / SHORTER)


def _read(token: str) -> bytes:
    """Return what a token spells, in its one spelling: another would be another token. Raises ValueError."""
    spelled = base64.b64decode(token, altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(spelled).decode("ascii") != token:
        raise ValueError("a token of another spelling")
    return spelled
