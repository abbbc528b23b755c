"""What Serve imports on Kubernetes, where the operator deploys in place of the bootstrap."""

from __future__ import annotations

from typing import Any

from ray.serve import Application

from cluster.bootstrap import scaling_of
from cluster.composition import ACTOR_NAMESPACE, gateway_config
from cluster.settings import load_settings
from cluster.supervisor import start_supervisor
from cluster.topology import SUPERVISOR_NAME, cache_shards, desired_actors
from serve_app.deployment import gateway

_ACTORS_WITHIN_S = 120.0


def build(_arguments: dict[str, Any]) -> Application:
    """Start the actors, or replace those of other code, and return the gateway; run by Serve inside of Ray.

    The database is migrated before, by the head's first container. Raises TimeoutError: an actor did not answer.
    """
    settings = load_settings()
    start_supervisor(
        desired_actors(settings), cache_shards(settings), SUPERVISOR_NAME, ACTOR_NAMESPACE, within_s=_ACTORS_WITHIN_S
    )
    return gateway(gateway_config, replicas=scaling_of(settings))
