"""API keys: made once, shown once, stored as a keyed hash.

The hash is keyed with a pepper that is not in the database, so a copy of the database neither holds keys nor lets
one guess them. A key carries 190 random bits: a slow password hash would add nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from enum import StrEnum

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH = 32
_FORM = re.compile(rf"sk_(test|live)_[0-9A-Za-z]{{{_LENGTH}}}\Z")


class Scope(StrEnum):
    """What a key may do."""

    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    WEBHOOKS = "webhooks"
    AUDIT = "audit"
    ADMIN = "admin"


MERCHANT_SCOPES = (Scope.PAYMENTS_READ, Scope.PAYMENTS_WRITE, Scope.WEBHOOKS, Scope.AUDIT)
"""What a merchant's own key may do; `admin` is the operator's."""


def new_secret(livemode: bool) -> str:
    """Make a new key."""
    return f"sk_{'live' if livemode else 'test'}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def is_well_formed(secret: str) -> bool:
    """Say whether the text can be a key at all, so that other text costs no look-up."""
    return _FORM.match(secret) is not None


def is_live(secret: str) -> bool:
    """Say whether the key is for live payments."""
    return secret.startswith("sk_live_")


def digest(secret: str, pepper: bytes) -> bytes:
    """Return what is stored of a key: HMAC-SHA-256, 32 bytes."""
    return hmac.digest(pepper, secret.encode(), hashlib.sha256)
