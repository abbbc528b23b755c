"""Idempotency: the same key with the same request is the same operation.

Source: the IETF draft "The Idempotency-Key HTTP Header Field".
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Claim:
    """A merchant's key and the fingerprint (16 bytes) of the request that it stands for."""

    key: str
    fingerprint: bytes


def claim(key: str | None, method: str, path: str, body: bytes) -> Claim | None:
    """Return what the key claims for this request, None without a key.

    `body` is the request as it was understood, in one canonical form, so that white space and the order of members
    do not matter.
    """
    if key is None:
        return None
    return Claim(key, blake2b(b"\n".join((method.encode(), path.encode(), body)), digest_size=16).digest())
