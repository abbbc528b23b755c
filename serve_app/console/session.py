"""An operator's session: who it stands for, and how long it lasts.

It begins with an admin key and carries only the key's digest, by which the key is looked up at each request: revoking
the key ends its sessions. What the browser holds is no key, and is of use to nobody once the session is over.

Source: OWASP Session Management Cheat Sheet (64 bits of entropy at least, idle and absolute timeouts, a new id at each
login, ended on the server).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from actors.runtime.errors import ActorError

IDLE_S = 3600.0
"""Without a person at the page. One that is open but left alone tells nothing of its own accord that it is used."""
LIFETIME_S = 12 * 3600.0
"""A shift; then the key is asked for again, whatever was done meanwhile."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session; times are seconds since 1970."""

    key_digest: str
    begun_at: float
    used_at: float

    @property
    def ends_at(self) -> float:
        """When it is over unless it is used until then."""
        return min(self.begun_at + LIFETIME_S, self.used_at + IDLE_S)

    def is_over(self, now: float) -> bool:
        """Say whether it is over."""
        return now >= self.ends_at

    def used(self, now: float) -> Session:
        """Return the session after a use."""
        return replace(self, used_at=now)


class Sessions(Protocol):
    """Where sessions are kept. A token is what the browser holds; any text may be asked about."""

    async def begin(self, key_digest: str) -> str:
        """Return the token of a new session. Raises SessionsAway."""
        ...

    async def find(self, token: str) -> Session | None:
        """Return the session, None where there is none or it is over. That is no use. Raises SessionsAway."""
        ...

    async def use(self, token: str) -> str | None:
        """Count a use; return the token to hold from now on, None where the session is over. Raises SessionsAway."""
        ...

    async def end(self, token: str) -> None:
        """End the session. Safe to repeat. Raises SessionsAway: then it goes on."""
        ...


class SessionsAway(ActorError):
    """What keeps the sessions cannot be asked now."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the sessions cannot be read ({self.reason})"


Now = Callable[[], float]
_STORED = TypeAdapter(Session)


def encode(session: Session) -> bytes:
    """Return the session as it is stored, before it is sealed."""
    return _STORED.dump_json(session)


def decode(stored: bytes) -> Session | None:
    """Return the session, None where it was stored in a form of another version."""
    try:
        return _STORED.validate_json(stored)
    except ValidationError:
        return None
