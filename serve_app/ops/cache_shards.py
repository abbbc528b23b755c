"""The shards of the cache for operators: how many there are, and a change of that while the gateway runs."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from actors.cache.sharding.keeper_actor import RingKeeperClient
from actors.cache.sharding.stored import SHARDS_MAX, StoredRing
from actors.runtime.errors import ActorError
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.problems import Code, Problem

_PATH = "/ops/api/cache/shards"
_TAG = "Operations"


class CacheRing(BaseModel):
    """How many shards the cache has."""

    version: int = Field(description="Rises with every change.")
    count: int = Field(description="The shards that share the keys.")
    wanted: int = Field(description="How many there will be after the changes that were asked for.")
    changing: bool = Field(description="Whether nothing is cached at the moment, because keys move.")


class ChangeCacheShards(BaseModel):
    """How many shards there should be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(ge=1, le=SHARDS_MAX, strict=True)


class CacheShardEndpoints:
    """Shows and changes the number of shards."""

    def __init__(self, ring: RingKeeperClient | None) -> None:
        self._ring = ring

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        admin = Scope.ADMIN.value
        problems = ("conflict", "overloaded")
        return (
            Operation(
                "GET", _PATH, self.show, "See how many shards the cache has", _TAG, admin,
                answers={200: CacheRing}, problems=problems,
            ),
            Operation(
                "POST", _PATH, self.change, "Change the number of shards while the gateway runs", _TAG, admin,
                request=ChangeCacheShards, answers={202: CacheRing}, problems=problems, example={"count": 3},
                sensitive=True,
            ),
        )  # fmt: skip

    async def show(self, _: Call) -> Response:
        """Show the ring."""
        try:
            return json_response(200, _state(await self._keeper().ring()))
        except ActorError as fault:
            raise _problem(fault) from None

    async def change(self, call: Call) -> Response:
        """Have it change; it has once `count` is what is wanted."""
        count = call.body_as(ChangeCacheShards).count
        try:
            return json_response(202, _state(await self._keeper().want(count)))
        except ActorError as fault:
            raise _problem(fault) from None

    def _keeper(self) -> RingKeeperClient:
        if self._ring is None:
            raise Problem(Code.CONFLICT, "The cache is switched off; start the gateway with CACHE_SHARDS above 0.")
        return self._ring


def _state(ring: StoredRing) -> dict[str, int | bool]:
    return {
        "version": ring.version,
        "count": ring.shards,
        "wanted": ring.wanted,
        "changing": ring.changing_to is not None,
    }


def _problem(fault: ActorError) -> Problem:
    return Problem(Code.OVERLOADED, f"The number of shards is not known now: {fault}.", retry_after_s=1)
