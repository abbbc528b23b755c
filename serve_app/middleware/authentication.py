"""Who calls: the API key in the Authorization header, never anywhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from starlette.types import Scope

from serve_app.problems import Code, Problem

OPERATOR_SCOPE = "admin"
"""What is needed to watch and steer the gateway; a test keeps it equal to the scope of keys."""

_CHALLENGE = ((b"www-authenticate", b'Bearer realm="easypay"'),)
_SCHEME = b"bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key it is and what it may do."""

    key_id: UUID
    merchant_id: UUID
    livemode: bool
    scopes: frozenset[str]
    rate_limit_per_minute: int | None


class UnknownCallers(Protocol):
    """Counts requests of which nobody knows yet whose they are: `RateLimits`."""

    async def admit_unknown(self, scope: Scope) -> None:
        """Count one; raises Problem (429) where there were too many."""
        ...


class Authenticator(Protocol):
    """Knows the keys."""

    def peek(self, secret: str) -> Caller | None:
        """Return the caller if that can be told without asking anybody; None says nothing."""
        ...

    def is_familiar(self, secret: str) -> bool:
        """Say whether the key was valid when this process last asked about it."""
        ...

    async def authenticate(self, secret: str) -> Caller | None:
        """Return the caller, None where the key is not valid."""
        ...

    def used(self, caller: Caller) -> None:
        """Note that the caller's key was used for a request."""
        ...


class SessionCallers(Protocol):
    """Knows the sessions of operators."""

    async def caller(self, scope: Scope, unknown: UnknownCallers) -> Caller | None:
        """Return whose session the request is of, None where it comes with none, or with a key as well.

        Raises Problem where the session is over (401), or did not ask for this itself (403), or cannot be read (503).
        """
        ...


async def authenticated(scope: Scope, authenticator: Authenticator, unknown: UnknownCallers) -> Caller:
    """Return the caller of a request. One with a key that this process has not met, or none, is counted before anything
    is looked up for it.

    Raises:
        Problem: there is no valid key (401), or too many requests come without a known one (429).
    """
    secret = bearer(scope["headers"])
    caller = authenticator.peek(secret) if secret is not None else None
    if caller is not None:
        authenticator.used(caller)
        return caller
    if secret is None or not authenticator.is_familiar(secret):
        await unknown.admit_unknown(scope)
    if secret is None:
        detail = "Send your API key as `Authorization: Bearer sk_...`."
        raise Problem(Code.AUTHENTICATION_REQUIRED, detail, headers=_CHALLENGE)
    caller = await authenticator.authenticate(secret)
    if caller is None:
        raise Problem(Code.AUTHENTICATION_REQUIRED, "The API key is not valid.", headers=_CHALLENGE)
    authenticator.used(caller)
    return caller


def check_scope(caller: Caller, needed: str) -> None:
    """Raise Problem (403) where the caller's key has not the scope."""
    if needed not in caller.scopes:
        raise Problem(Code.PERMISSION_DENIED, f"The API key lacks the scope {needed}.")


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the key that was sent; None where there is not just one."""
    given = [value for name, value in headers if name == b"authorization"]
    # Of two headers nobody can say which one a proxy before us has checked.
    if len(given) == 1 and given[0][:7].lower() == _SCHEME:
        return str(given[0][7:].strip(), "latin-1")
    return None
