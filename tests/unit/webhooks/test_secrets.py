"""Secrets are sealed for one endpoint, and signatures are those of the Standard Webhooks library."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from actors.cache.level2.sealing import SealBroken, derived_key
from serve_app.webhooks.message import Event
from serve_app.webhooks.secrets import SecretBox, new_secret, signatures

_MERCHANT, _ENDPOINT = UUID(int=1), UUID(int=2)
_EVENT = Event(UUID(int=3), "payment.captured", 7, '{"id":"pay_1","description":"ü"}', datetime(2026, 1, 1, tzinfo=UTC))


def _headers(*secrets: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": _EVENT.public_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signatures(secrets, _EVENT.public_id, now, _EVENT.encode()),
    }


def test_an_event_is_verified_by_the_library() -> None:
    """And read as what it is."""
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert Webhook(secret).verify(_EVENT.encode().encode(), _headers(secret)) == {
        "id": "evt_" + UUID(int=3).hex,
        "type": "payment.captured",
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "sequence": 7,
        "data": {"id": "pay_1", "description": "ü"},
    }


def test_either_of_two_secrets_proves_it() -> None:
    """While one replaces the other, a receiver may have either."""
    old, new = new_secret(), new_secret()
    for secret in (old, new):
        Webhook(secret).verify(_EVENT.encode(), _headers(new, old))


def test_another_secret_proves_nothing() -> None:
    """Nor does a body that was changed."""
    secret = new_secret()
    for key, body in ((new_secret(), _EVENT.encode()), (secret, _EVENT.encode().replace("7", "8"))):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body, _headers(secret))


def test_a_secret_opens_for_its_endpoint_alone() -> None:
    """A row that is copied to another endpoint signs nothing."""
    box, secret = SecretBox(b"k" * 32), new_secret()
    sealed = box.seal(_MERCHANT, _ENDPOINT, secret)
    assert secret.encode() not in sealed
    assert box.open(_MERCHANT, _ENDPOINT, sealed) == secret
    for merchant, endpoint in ((UUID(int=9), _ENDPOINT), (_MERCHANT, UUID(int=9))):
        with pytest.raises(SealBroken):
            box.open(merchant, endpoint, sealed)


def test_each_purpose_has_a_key_of_its_own() -> None:
    """What is sealed for one opens for no other, nor with the key that they come from."""
    keys = {b"k" * 32, derived_key(b"k" * 32, "a"), derived_key(b"k" * 32, "b")}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}
    assert derived_key(b"k" * 32, "a") in keys
