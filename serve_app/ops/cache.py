"""The cache for operators: how it does, what it must forget, and what it should hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from actors.cache.client import CacheClient
from actors.cache.counts import Counts, newest, summed
from actors.runtime.errors import ActorError
from serve_app.caching.models import MODELS, merchant_tag
from serve_app.domain.ids import Prefix
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import body_id
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.payments.cached import CachedPayments
from serve_app.problems import Code, Problem

_PATH = "/ops/api/cache"
_TAG = "Operations"
WARM_MAX = 10_000


class ModelCounts(BaseModel):
    """How reads of one model ended, in all processes; see the glossary of the README."""

    reads: int
    hit_rate: float | None = Field(description="Reads that cost no load, of all reads; null before the first.")
    near_hits: int
    joined: int
    shard_hits: int
    negative_hits: int
    waited: int
    loads: int
    refreshes: int
    stale_refusals: int
    bypasses: dict[str, int]


class Shard(BaseModel):
    """The state of one shard; `held` counts the copies that processes keep near."""

    name: str
    ready: bool
    entries: int = 0
    bytes_used: int = 0
    bound_bytes: int = 0
    evictions: int = 0
    sessions: int = 0
    held: int = 0
    changing: int = 0
    loading: int = 0
    redis: bool = Field(default=False, description="Whether the second level is used at the moment.")
    redis_hits: int = 0
    redis_moves: int = Field(default=0, description="How often Redis could not be trusted, and was left for new keys.")
    unapplied: int | None = Field(default=None, description="Writes in the journal that the database has not yet.")
    journal_fault: str = Field(default="", description="Why the journal does not get on; empty while it does.")


class CacheState(BaseModel):
    """The cache as it is. Without shards it is switched off."""

    shards: list[Shard]
    models: dict[str, ModelCounts]


class InvalidateCache(BaseModel):
    """What to forget: whole models, and everything that lists the payments of merchants."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: list[Literal["api_key", "payment", "refund", "payment_page", "refund_page", "audit_page"]] = Field(
        default_factory=list, max_length=len(MODELS)
    )
    merchants: list[str] = Field(default_factory=list, max_length=100)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.models and not self.merchants:
            raise ValueError("name models or merchants")
        return self


class Invalidated(BaseModel):
    """How many values were dropped, near copies not counted. Nobody serves them any more."""

    dropped: int


class WarmCache(BaseModel):
    """Which payments to load: the newest of a merchant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    merchant: str
    livemode: bool = Field(default=False, strict=True)
    count: int = Field(default=1000, ge=1, le=WARM_MAX, strict=True)


class Warmed(BaseModel):
    """How many payments were looked at; those that the cache did not have are loaded."""

    payments: int


class CacheEndpoints:
    """Shows and steers the cache."""

    def __init__(self, cache: CacheClient | None, payments: CachedPayments) -> None:
        self._cache = cache
        self._payments = payments

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        admin = Scope.ADMIN.value
        return (
            Operation("GET", _PATH, self.state, "See how the cache does", _TAG, admin, answers={200: CacheState}),
            Operation(
                "POST", f"{_PATH}/invalidate", self.invalidate, "Have the cache forget", _TAG, admin,
                request=InvalidateCache, answers={200: Invalidated}, problems=("overloaded",),
                example={"models": ["payment"]},
            ),
            Operation(
                "POST", f"{_PATH}/warm", self.warm, "Load a merchant's newest payments", _TAG, admin,
                request=WarmCache, answers={200: Warmed}, problems=("overloaded",),
                example={"merchant": "mer_0199a5c0000070008000000000000001", "count": 1000},
            ),
        )  # fmt: skip

    async def state(self, _: Call) -> Response:
        """Show shards and counts."""
        snapshots = await self._cache.snapshots() if self._cache is not None else {}
        reports = newest(found.reports for found in snapshots.values() if found is not None)
        shards = [
            {"name": name, "ready": False}
            if found is None
            else {"name": name, **{key: value for key, value in asdict(found).items() if key != "reports"}}
            for name, found in snapshots.items()
        ]
        models = {model: _counts(counts) for model, counts in summed(reports).items()}
        return json_response(200, {"shards": shards, "models": models})

    async def invalidate(self, call: Call) -> Response:
        """Forget."""
        body = call.body_as(InvalidateCache)
        merchants = [
            body_id(merchant, Prefix.MERCHANT, f"merchants.{index}") for index, merchant in enumerate(body.merchants)
        ]
        tags = [merchant_tag(merchant, livemode) for merchant in merchants for livemode in (False, True)]
        try:
            dropped = await self._cache.invalidate(tags=tags, models=body.models) if self._cache is not None else 0
        except ActorError:
            detail = "A shard did not answer; what the others hold of it is dropped."
            raise Problem(Code.OVERLOADED, detail, retry_after_s=1) from None
        return json_response(200, {"dropped": dropped})

    async def warm(self, call: Call) -> Response:
        """Load."""
        body = call.body_as(WarmCache)
        merchant = body_id(body.merchant, Prefix.MERCHANT, "merchant")
        warmed = await self._payments.warm(merchant, body.livemode, body.count)
        return json_response(200, {"payments": warmed})


def _counts(counts: Counts) -> dict[str, Any]:
    reads = counts.reads
    return {"reads": reads, "hit_rate": round(counts.hits / reads, 4) if reads else None, **asdict(counts)}
