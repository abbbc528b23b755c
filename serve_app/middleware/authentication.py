"""Who calls: the API key in the Authorization header, never anywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from starlette.types import Scope

from serve_app.problems import Code, Problem

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


class Authenticator(Protocol):
    """Knows the keys."""

    def peek(self, secret: str) -> Caller | None:
        """Return the caller if that can be told without asking anybody; None says nothing."""
        ...

    async def authenticate(self, secret: str) -> Caller | None:
        """Return the caller, None where the key is not valid."""
        ...

    def used(self, caller: Caller) -> None:
        """Note that the caller's key was used for a request."""
        ...


async def authenticated(scope: Scope, authenticator: Authenticator, needed: str) -> Caller:
    """Return the caller of a request.

    Raises:
        Problem: there is no valid key (401), or it has not the scope (403).
    """
    secret = _bearer(scope)
    caller = authenticator.peek(secret) or await authenticator.authenticate(secret)
    if caller is None:
        raise Problem(Code.AUTHENTICATION_REQUIRED, "The API key is not valid.", headers=_CHALLENGE)
    authenticator.used(caller)
    if needed not in caller.scopes:
        raise Problem(Code.PERMISSION_DENIED, f"The API key lacks the scope {needed}.")
    return caller


def _bearer(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    # Of two headers nobody can say which one a proxy before us has checked.
    if len(given) == 1 and given[0][:7].lower() == _SCHEME:
        return str(given[0][7:].strip(), "latin-1")
    detail = "Send your API key as `Authorization: Bearer sk_...`."
    raise Problem(Code.AUTHENTICATION_REQUIRED, detail, headers=_CHALLENGE)
