"""What leaves for Redis is sealed: who reads or writes there learns nothing and can slip nothing in."""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from actors.runtime.errors import ActorError

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES


class SealBroken(ActorError):
    """The data was changed, cut short, sealed with another key, or stored under another name. It is not to be used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the seal of {self.name} is broken"


class Sealer:
    """Seal data under a name with AES-256-GCM; the name is authenticated too, so data of one name passes for no other.

    It does not hide the length, nor that an older seal of the same name was put back. Nonces are random: one key may
    seal 2**32 times before two of them are likelier than one in 2**32 to be equal.

    Source: NIST SP 800-38D, 8.2.2 and 8.3.
    """

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 random bytes; raises ValueError for another length."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes, not {KEY_BYTES}")
        self._cipher = AESGCM(key)

    def seal(self, name: str, data: bytes) -> bytes:
        """Return nonce, ciphertext and tag: 28 bytes more than the data."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """Return the data; raises SealBroken where it is not just as it was sealed under this name."""
        if len(sealed) < OVERHEAD_BYTES:
            raise SealBroken(name)
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
        except InvalidTag:
            raise SealBroken(name) from None


def derived_key(key: bytes, purpose: str) -> bytes:
    """Return a key of 32 bytes for one purpose: what is sealed for it opens for no other, and tells nothing of the key.

    Source: RFC 5869.
    """
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(key)


def key_from_text(text: str) -> bytes:
    """Return the key that is written as url-safe base64, padded or not; raises ValueError, never with the text."""
    bare = text.strip().rstrip("=")
    try:
        if set(bare) & {"+", "/"}:  # They would be taken for what stands in their place.
            raise ValueError
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except ValueError:
        # Without its cause: some of the causes quote what they could not read.
        raise ValueError("the key is not url-safe base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes, not {KEY_BYTES}")
    return key
