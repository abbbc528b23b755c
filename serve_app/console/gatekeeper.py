"""Lets operators in by their session, where a request comes with no key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Scope

from actors.runtime.errors import ActorError
from serve_app.console.cookie import SessionCookie
from serve_app.console.origin import is_from_our_page
from serve_app.console.session import Now, Session, Sessions, SessionsAway
from serve_app.middleware.authentication import Caller, UnknownCallers
from serve_app.problems import Code, Problem, problem_of

_FAMILIAR_MAX = 1000
_AWAY = (
    "Sessions of the operations page are kept in Redis, which cannot be asked now. Pages that are open stay live; with "
    "an admin key as `Authorization: Bearer sk_...`, /ops and everything below it works meanwhile."
)

Headers = Iterable[tuple[bytes, bytes]]


class Keys(Protocol):
    """Knows the keys by their digests: `KeyAuthenticator`."""

    def digest(self, secret: str) -> bytes: ...

    async def of_digest(self, hashed: bytes) -> Caller | None: ...

    def used(self, caller: Caller) -> None: ...


class Gatekeeper:
    """Finds out whose session a request is of."""

    def __init__(self, sessions: Sessions, cookie: SessionCookie, keys: Keys, now: Now) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._keys = keys
        self._now = now
        self._familiar: OrderedDict[str, Session] = OrderedDict()
        self._holders: OrderedDict[str, Caller] = OrderedDict()

    async def caller(self, scope: Scope, unknown: UnknownCallers) -> Caller | None:
        """Return whose session the request is of, None where it comes with none, or with a key as well.

        A token that this process has not met is counted as a key that it has not met is, before anybody is asked.

        Raises:
            Problem: the session is over (401), the request is not of our own page (403), there were too many with
                tokens that nobody knows (429), or the sessions cannot be read (503).
        """
        headers = scope["headers"]
        token = self._cookie.read(headers)
        if token is None or any(name == b"authorization" for name, _ in headers):
            return None
        if token not in self._familiar:
            await unknown.admit_unknown(scope)
        if not is_from_our_page(scope["method"], headers):
            raise Problem(Code.PERMISSION_DENIED, "With a session, only the operations page itself may ask for this.")
        caller = await self.holder(token, only_looks=scope["method"] in ("GET", "HEAD"))
        if caller is None:
            detail = "The session is over. Sign in again at /ops."
            raise Problem(Code.AUTHENTICATION_REQUIRED, detail, headers=(self._cookie.clear(headers),))
        self._keys.used(caller)
        return caller

    async def holder(self, token: str, *, only_looks: bool) -> Caller | None:
        """Return who holds the token of a session that goes on.

        Who only looks may, while the sessions or the keys cannot be read, go on by what this process last knew of them:
        the page is looked at when things are away. One that was ended elsewhere meanwhile is over by its own time.

        Raises:
            Problem: the sessions or the keys cannot be read (503).
        """
        try:
            session = await self._sessions.find(token)
        except SessionsAway:
            session = self._familiar.get(token) if only_looks else None
            if session is None or session.is_over(self._now()):
                raise sessions_away() from None
        if session is None:
            self._familiar.pop(token, None)
            return None
        self._remember(token, session)
        return await self._holder_of(session, only_looks=only_looks)

    async def _holder_of(self, session: Session, *, only_looks: bool) -> Caller | None:
        digest = session.key_digest
        try:
            caller = await self._keys.of_digest(bytes.fromhex(digest))
        except ActorError as away:
            known = self._holders.get(digest) if only_looks else None
            if known is None:
                raise problem_of(away) from away
            return known
        if caller is None:
            self._holders.pop(digest, None)
            return None
        self._holders[digest] = caller
        self._holders.move_to_end(digest)
        if len(self._holders) > _FAMILIAR_MAX:
            self._holders.popitem(last=False)
        return caller

    def _remember(self, token: str, session: Session) -> None:
        self._familiar[token] = session
        self._familiar.move_to_end(token)
        if len(self._familiar) > _FAMILIAR_MAX:
            self._familiar.popitem(last=False)


def sessions_away() -> Problem:
    """Return what is told while the sessions cannot be read."""
    return Problem(Code.OVERLOADED, _AWAY, retry_after_s=2)
