"""The cached models: their names in the cache, where and how long they live there, and by which strategy they are
written.

A name holds the merchant and the mode, so that nobody is ever served another's object.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag, auto
from uuid import UUID

from serve_app.attempts.rows import PaymentKey


class Strategy(Enum):
    """What a writer does with the cache, and what a reader may count on."""

    CACHE_ASIDE = "cache-aside"
    """The writer commits between the begin and the end of a transition, which invalidates; the next reader loads.
    Acknowledged means on disk. No reader sees an older state than one that was acknowledged."""
    WRITE_THROUGH = "write-through"
    """The same, and the end of the transition leaves the new state in the cache: the next reader loads nothing. Where
    the writer does not know what it has committed, it only invalidates."""
    WRITE_BEHIND = "write-behind"
    """The writer records the change and commits nothing. Acknowledged means in the journal of the key's shard, in
    Redis; PostgreSQL has it soon after, once, and for each key in the order of the acknowledgements, but for a change
    of the ring between two of them. Nobody reads it through the cache, and who reads the database may see a state from
    before changes that were acknowledged. For what may be some seconds late and in another order after such a change,
    and of which a failure of Redis' machine may cost what the database has not yet."""


class Level(Flag):
    """Where a model's values are held. A model of several levels is looked up in this order, and what a later one has
    is kept in those before it; a change makes all of them forget before it is committed."""

    NEAR = auto()
    """In each process that reads it, while the shard vouches for it."""
    SHARD = auto()
    """In the memory of the shard that owns its name."""
    REDIS = auto()
    """In the shard's part of Redis, from which it starts warm."""


@dataclass(frozen=True, slots=True)
class Model:
    """One kind of cached value. `ttl_s` bounds what a defect could keep alive; changes do not wait for it."""

    name: str
    ttl_s: float
    strategy: Strategy
    levels: Level


ALL_LEVELS = Level.NEAR | Level.SHARD | Level.REDIS

PAYMENT = Model("payment", 600.0, Strategy.WRITE_THROUGH, ALL_LEVELS)
REFUND = Model("refund", 600.0, Strategy.CACHE_ASIDE, ALL_LEVELS)
"""Loaded once it is concluded; after that it does not change."""
PAYMENT_PAGE = Model("payment_page", 60.0, Strategy.CACHE_ASIDE, Level.SHARD)
REFUND_PAGE = Model("refund_page", 60.0, Strategy.CACHE_ASIDE, Level.SHARD)
AUDIT_PAGE = Model("audit_page", 10.0, Strategy.CACHE_ASIDE, Level.SHARD)
"""Soon forgotten: keys that are made or revoked on the command line are in it, and no gateway may run to be told."""

MARK = Model("mark", 600.0, Strategy.CACHE_ASIDE, Level.SHARD)
"""Where the log of the primary was when the merchant's last change was over: what a replica must have to list."""

API_KEY = Model("api_key", 2.0, Strategy.CACHE_ASIDE, Level.NEAR | Level.SHARD)
"""Revoking a key takes effect at once where the gateway is told of it, and everywhere within this time. So it is not
worth a place in Redis."""

KEY_USAGE = Model("api_key_usage", 0.0, Strategy.WRITE_BEHIND, Level(0))
"""When a key was last used, and how often. Nothing of it is read through the cache."""

MODELS = {model.name: model for model in (API_KEY, PAYMENT, REFUND, PAYMENT_PAGE, REFUND_PAGE, AUDIT_PAGE, MARK)}
"""What is read through the cache, by name."""
REDIS_MODELS = frozenset(name for name, model in MODELS.items() if Level.REDIS in model.levels)


def payment_name(key: PaymentKey) -> str:
    """Return the name of a payment."""
    return f"payment:{_scope(key.merchant_id, key.livemode)}:{key.payment_id.hex}"


def refund_name(merchant_id: UUID, livemode: bool, refund_id: UUID) -> str:
    """Return the name of a refund."""
    return f"refund:{_scope(merchant_id, livemode)}:{refund_id.hex}"


def api_key_name(digest: bytes) -> str:
    """Return the name of the API key with this digest. The digest is keyed, and the key itself is nowhere."""
    return f"api_key:{digest.hex()}"


def key_usage_name(key_id: UUID) -> str:
    """Return the name of the uses of an API key."""
    return f"{KEY_USAGE.name}:{key_id.hex}"


def key_id_of(name: str) -> UUID:
    """Return whose uses have this name."""
    return UUID(hex=name.partition(":")[2])


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
