"""The gateway as a Ray Serve deployment: one process that serves HTTP with the services of this package."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp

from serve_app.app import GatewayApp
from serve_app.autoscaling import replica_report
from serve_app.config import GatewayConfig
from serve_app.http.server import serve_with_many_accepts
from serve_app.logs import configure_logging
from serve_app.services import Services

APPLICATION = "easypay"
DEPLOYMENT = "gateway"
_QUEUED_BY_SERVE = 4096
"""Serve's own limit queues first come, first served, before ours can tell payments apart: it must never be reached."""
_GRACEFUL_SHUTDOWN_S = 40.0
"""Longer than the longest answer, so that a replica that is replaced finishes every payment that it began."""
_SURGE_PERCENT = 33
"""Of the replicas, rounded up: one more of up to three. In a redeploy the new one serves before an old one is told to
stop; Serve's default stops the old one first, and a gateway of one replica refuses everything until the new one is up.
The logical processor for it must be free, else the redeploy waits, and fails nobody."""


@serve.ingress()
class Gateway:
    """One replica. The app is built in it, so nothing is connected at import and nothing is pickled."""

    def __init__(self, configure: Callable[[], GatewayConfig]) -> None:
        self._configure = configure
        self._services: Services | None = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return GatewayApp(self._open_services)

    async def _open_services(self) -> Services:
        # First, for a configuration that cannot be read has to be told too.
        configure_logging()
        config = self._configure()
        configure_logging(config.log_level)
        _collect_garbage_less_often()
        services = self._services = await Services.open(
            config, name="gateway", connections=config.connections_per_process
        )
        # In time: Serve starts its server once the services are open. It waits for every answer before a replica ends.
        serve_with_many_accepts(services.console.stop_streams)
        return services

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return this replica's part of the load; Serve asks for it under this name while it scales the gateway."""
        assert self._services is not None, "Serve asks replicas that are ready"
        demand = self._services.admission.demand()
        return replica_report(arrived=demand.arrived, admitted=demand.admitted, in_flight=demand.in_flight)


def _collect_garbage_less_often() -> None:
    """Spare what lives as long as the process, and look through the rest after 20,000 new objects instead of 700.

    Requests leave hardly any cycles: this took a tenth off the CPU of a payment.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def gateway(configure: Callable[[], GatewayConfig], *, replicas: int | AutoscalingConfig) -> Application:
    """Return the application to run. `configure` is called in each replica, so no secret leaves its machine."""
    scaling = {"num_replicas": replicas} if isinstance(replicas, int) else {"autoscaling_config": replicas}
    deployed: Any = serve.deployment(  # Ray types the decorator, not this way to call it.
        Gateway,
        name=DEPLOYMENT,
        max_ongoing_requests=_QUEUED_BY_SERVE,
        ray_actor_options={"num_cpus": 1},
        health_check_period_s=2,
        health_check_timeout_s=10,
        graceful_shutdown_wait_loop_s=1,
        graceful_shutdown_timeout_s=_GRACEFUL_SHUTDOWN_S,
        max_surge_percent=_SURGE_PERCENT,
        # We write our own line for each request. Serve makes a record of its own for each even where the access log is
        # off, and drops it in a handler; above INFO it does not make it.
        logging_config=LoggingConfig(enable_access_log=False, encoding="JSON", log_level="WARNING"),
        **scaling,
    )
    application: Application = deployed.bind(configure)
    return application
