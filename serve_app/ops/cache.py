"""The cache for operators: how it does, what it must forget, and what it should hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from actors.cache.client import CacheClient
from actors.cache.counts import Counts, ModelMetrics, summed
from actors.cache.messages import ShardSnapshot, ShardState
from actors.runtime.errors import ActorError
from actors.runtime.histogram import Histogram
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

Level = Literal["shard", "redis", "database", "begin"]
"""What took its time: an answer of a shard, of Redis, of the database, or the wait until a change may be committed."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something took; null where it never happened. Quantiles are within 4 %."""

    count: int
    p50_s: float | None
    p99_s: float | None


@dataclass(slots=True, kw_only=True)
class ModelCounts(Counts):
    """How reads of one model ended, in all processes since the shards started; see the glossary of the README."""

    reads: int
    hit_rate: Annotated[float | None, Field(description="Reads that cost no load, of all; null before the first.")]
    latency: dict[Level, Latency]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard(ShardState):
    """The state of one shard; of one that does not answer, its name alone. See the glossary of the README."""

    name: str
    started_at: Annotated[datetime | None, Field(description="Since when it counts.")] = None


class CacheState(BaseModel):
    """The cache as it is. Without shards it is switched off."""

    shards: list[Shard]
    models: dict[str, ModelCounts]


def _known(model: str) -> str:
    if model not in MODELS:
        raise ValueError(f"must be one of {', '.join(MODELS)}")
    return model


ModelName = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(MODELS)})]


class InvalidateCache(BaseModel):
    """What to forget: whole models, and everything that lists the payments of merchants."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: list[ModelName] = Field(default_factory=list, max_length=len(MODELS))
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
                example={"models": ["payment"]}, sensitive=True,
            ),
            Operation(
                "POST", f"{_PATH}/warm", self.warm, "Load a merchant's newest payments", _TAG, admin,
                request=WarmCache, answers={200: Warmed}, problems=("overloaded",),
                example={"merchant": "mer_0199a5c0000070008000000000000001", "count": 1000}, sensitive=True,
            ),
        )  # fmt: skip

    async def state(self, _: Call) -> Response:
        """Show shards and counts."""
        snapshots = await self._cache.snapshots() if self._cache is not None else {}
        found = [snapshot for snapshot in snapshots.values() if snapshot is not None]
        models = summed(snapshot.metrics for snapshot in found)
        redis: dict[str, Histogram] = {}
        for snapshot in found:
            for model, finds in snapshot.finds.items():
                redis.setdefault(model, Histogram()).add(finds.find_s)
        return json_response(
            200,
            {
                "shards": [_shard(name, snapshot) for name, snapshot in snapshots.items()],
                "models": {model: _counts(metrics, redis.get(model)) for model, metrics in models.items()},
            },
        )

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


def _shard(name: str, snapshot: ShardSnapshot | None) -> Shard | Mapping[str, Any]:
    if snapshot is None:
        return {"name": name, "ready": False}
    return Shard(name=name, started_at=datetime.fromtimestamp(snapshot.started_at, UTC), **asdict(snapshot.state))


def _counts(metrics: ModelMetrics, redis: Histogram | None) -> ModelCounts:
    latency: dict[Level, Histogram] = {
        "shard": metrics.shard_s,
        "redis": redis or Histogram(),
        "database": metrics.load_s,
        "begin": metrics.begin_s,
    }
    return ModelCounts(
        **{each.name: getattr(metrics, each.name) for each in fields(Counts)},
        reads=metrics.reads,
        hit_rate=round(metrics.hits / metrics.reads, 4) if metrics.reads else None,
        latency={
            level: Latency(each.count, each.quantile(0.5), each.quantile(0.99)) for level, each in latency.items()
        },
    )
