"""Which actors a gateway has."""

from __future__ import annotations

from actors.pool.actor import POOL_MANAGER_NAME, PoolManagerActor
from actors.runtime.spec import ActorSpec
from cluster.composition import database_url, gateway_config, gateway_name
from cluster.settings import Settings
from serve_app.tasks.resolver_actor import RESOLVER_NAME, ResolverActor

SUPERVISOR_NAME = "supervisor"


def desired_actors(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return every actor that the supervisor keeps, in the order in which they are needed."""
    return (
        ActorSpec(
            POOL_MANAGER_NAME,
            PoolManagerActor,
            (database_url, settings.connection_budget, gateway_name(settings)),
        ),
        ActorSpec(RESOLVER_NAME, ResolverActor, (gateway_config,)),
    )
