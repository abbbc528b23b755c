"""A second application in the gateway's Ray cluster: deployed for the length of a benchmark, and taken out again.

A short-lived driver does both (`python -m MODULE deploy ADDRESS REPLICAS`), so that the benchmark's own process holds
no Ray. What runs as `__main__` is pickled by value, so the replicas need not be able to import it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

# As the gateway's: above whatever the benchmark keeps in flight, so that Serve's own queue never answers for
# the app.
ONGOING_REQUESTS_MAX = 2048


@dataclass(frozen=True, slots=True)
class Application:
    """Describe an application: `ingress` is a class that builds an ASGI application, made with the `arguments`."""

    name: str
    route: str
    ingress: type
    arguments: tuple[str, ...] = ()


def obey(arguments: Sequence[str], application: Application) -> None:
    """Obey `deploy ADDRESS REPLICAS` or `delete ADDRESS`."""
    match arguments:
        case ["deploy", address, replicas]:
            _deploy(address, int(replicas), application)
        case ["delete", address]:
            _delete(address, application)
        case _:
            sys.exit(obey.__doc__)


def _deploy(address: str, replicas: int, application: Application) -> None:
    """Deploy it and wait until its replicas run."""
    import ray
    from ray import serve
    from ray.serve.schema import LoggingConfig

    ray.init(address=address, log_to_driver=False)
    deployment = serve.deployment(
        name=application.ingress.__name__,
        num_replicas=replicas,
        max_ongoing_requests=ONGOING_REQUESTS_MAX,
        ray_actor_options={"num_cpus": 0},
    )
    serve.run(
        deployment(serve.ingress()(application.ingress)).bind(*application.arguments),
        name=application.name,
        route_prefix=application.route,
        logging_config=LoggingConfig(enable_access_log=False),
    )


def _delete(address: str, application: Application) -> None:
    """Take it out; the gateway's application stays as it is."""
    import ray
    from ray import serve

    ray.init(address=address, log_to_driver=False)
    serve.delete(application.name)
