"""Secrets of endpoints: made here, shown once, sealed at rest, and what deliveries are signed with.

Source: the Standard Webhooks specification, 1.0.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from standardwebhooks import Webhook

from actors.cache.level2.sealing import Sealer

_SECRET_BYTES = 32
_PREFIX = "whsec_"


def new_secret() -> str:
    """Make a secret of 256 random bits."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signatures(secrets_: Sequence[str], message_id: str, sent_at: datetime, body: str) -> str:
    """Return the value of `webhook-signature`: one signature for each secret, any of which proves the sender."""
    return " ".join(Webhook(secret).sign(message_id, sent_at, body) for secret in secrets_)


class SecretBox:
    """Seals each secret under its endpoint's name, so that one endpoint's passes for no other's."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes that is used for nothing else."""
        self._sealer = Sealer(key)

    def seal(self, merchant_id: UUID, endpoint_id: UUID, secret: str) -> bytes:
        """Return the secret as it is stored."""
        return self._sealer.seal(_name(merchant_id, endpoint_id), secret.encode())

    def open(self, merchant_id: UUID, endpoint_id: UUID, sealed: bytes) -> str:
        """Return the secret; raises SealBroken where it was sealed with another key or for another endpoint."""
        return self._sealer.open(_name(merchant_id, endpoint_id), sealed).decode()


def _name(merchant_id: UUID, endpoint_id: UUID) -> str:
    return f"webhook_endpoint:{merchant_id.hex}:{endpoint_id.hex}"
