"""A process of a gateway that captures a payment and dies by SIGKILL after the commit, before it tells the cache of it.

Run with one JSON object as argument, in the environment of a driver of the gateway's Ray.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from uuid import UUID

import ray

from actors.cache.client import CacheClient
from actors.cache.messages import End, Fill, GiveUp
from actors.cache.port import ActorPort
from actors.cache.sharding.stored import shard_names
from actors.pool.database import Database
from actors.runtime.clock import SystemClock
from cluster.composition import ACTOR_NAMESPACE, gateway_config
from serve_app.domain.idempotency import claim
from serve_app.domain.ids import Prefix, public_id
from serve_app.payments.schemas import CapturePayment
from serve_app.services import open_processors, wire
from tests.support.gateway_services import owner


class _DyingPort(ActorPort):
    """Dies instead of saying what became of a transition. The engine has committed by then, and no step comes between:
    at `Step.CONCLUDED` the message may have left already."""

    async def tell(self, session: int, messages: Sequence[Fill | GiveUp | End]) -> None:
        if any(isinstance(message, End) for message in messages):
            os.kill(os.getpid(), signal.SIGKILL)
        await super().tell(session, messages)


async def main(plan: dict[str, str]) -> None:
    """Capture as the gateway does on `POST /v1/payments/{id}/capture`."""
    ray.init(os.environ["RAY_ADDRESS"], namespace=ACTOR_NAMESPACE, log_to_driver=False)
    config = gateway_config()
    merchant, payment_id = UUID(plan["merchant"]), UUID(plan["payment"])
    path = f"/v1/payments/{public_id(Prefix.PAYMENT, payment_id)}/capture"
    claimed = claim(plan["key"], "POST", path, CapturePayment(amount=int(plan["amount"])).model_dump_json().encode())
    shards = shard_names(config.cache_shards)
    cache = CacheClient(lambda shard: _DyingPort(shard, ACTOR_NAMESPACE), "w", shards=shards)
    cache.start()
    database = await Database.open(config.database_url, name="crashing", manager=None, want=1)
    services = wire(config, database, open_processors(config), SystemClock(), cache=cache)
    await services.payments.capture(owner(merchant, merchant), payment_id, int(plan["amount"]), claimed)
    # The capture may be answered before the cache is told: nobody is, for this process has no client.
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
