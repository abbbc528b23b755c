"""The cached models: their names in the cache, how long they live there, and by which strategy they are written.

A name holds the merchant and the mode, so that nobody is ever served another's object.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from serve_app.attempts.rows import PaymentKey


class Strategy(Enum):
    """What a writer does with the cache. Whichever it is, no reader sees an older state than one that was
    acknowledged."""

    CACHE_ASIDE = "cache-aside"
    """The change invalidates, and the next reader loads."""
    WRITE_THROUGH = "write-through"
    """The change leaves the new state in the cache."""


@dataclass(frozen=True, slots=True)
class Model:
    """One kind of cached value. `ttl_s` bounds what a defect could keep alive; changes do not wait for it."""

    name: str
    ttl_s: float
    strategy: Strategy


PAYMENT = Model("payment", 600.0, Strategy.WRITE_THROUGH)
REFUND = Model("refund", 600.0, Strategy.CACHE_ASIDE)
"""Loaded once it is concluded; after that it does not change."""
PAYMENT_PAGE = Model("payment_page", 60.0, Strategy.CACHE_ASIDE)
REFUND_PAGE = Model("refund_page", 60.0, Strategy.CACHE_ASIDE)
AUDIT_PAGE = Model("audit_page", 10.0, Strategy.CACHE_ASIDE)
"""Soon forgotten: keys that are made or revoked on the command line are in it, and no gateway may run to be told."""

API_KEY = Model("api_key", 2.0, Strategy.CACHE_ASIDE)
"""Revoking a key takes effect at once where the gateway is told of it, and everywhere within this time."""

MODELS = {model.name: model for model in (API_KEY, PAYMENT, REFUND, PAYMENT_PAGE, REFUND_PAGE, AUDIT_PAGE)}


def payment_name(key: PaymentKey) -> str:
    """Return the name of a payment."""
    return f"payment:{_scope(key.merchant_id, key.livemode)}:{key.payment_id.hex}"


def refund_name(merchant_id: UUID, livemode: bool, refund_id: UUID) -> str:
    """Return the name of a refund."""
    return f"refund:{_scope(merchant_id, livemode)}:{refund_id.hex}"


def api_key_name(digest: bytes) -> str:
    """Return the name of the API key with this digest. The digest is keyed, and the key itself is nowhere."""
    return f"api_key:{digest.hex()}"


def page_name(model: Model, tag: str, *parameters: object) -> str:
    """Return the name of a page of what is listed under a tag."""
    return f"{model.name}:{tag}:{':'.join(map(str, parameters))}"


def merchant_tag(merchant_id: UUID, livemode: bool) -> str:
    """Return the tag of everything that lists a merchant's payments, or what was done to them."""
    return f"merchant:{_scope(merchant_id, livemode)}"


def refunds_tag(key: PaymentKey) -> str:
    """Return the tag of everything that lists a payment's refunds: the payment's name, so that one shard has both."""
    return payment_name(key)


def _scope(merchant_id: UUID, livemode: bool) -> str:
    return f"{merchant_id.hex}{'l' if livemode else 't'}"
