"""The engine's limit: a raw ASGI echo with one pydantic check of the body, behind the gateway's own ingress.

It is deployed into the gateway's Ray cluster as a Serve application of its own and taken out again, by a
short-lived driver (`python -m tests.bench.echo`), so that the benchmark's own process holds no Ray. What runs
as `__main__` is pickled by value, so the replicas need not be able to import it.
"""

from __future__ import annotations

import sys
from typing import Any

APPLICATION = "bench-echo"
ROUTE = "/bench-echo"
# As the gateway's: above whatever the benchmark keeps in flight, so that Serve's own queue never answers for
# the app.
ONGOING_REQUESTS_MAX = 2048


def build_echo() -> Any:
    """Build the ASGI application. Everything is inside, so that Ray can send it by value."""
    from pydantic import BaseModel, Field

    class Payment(BaseModel):
        amount: int = Field(gt=0)
        currency: str = Field(pattern="^[A-Z]{3}$")
        payment_method: str = Field(min_length=1, max_length=64)

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = Payment.model_validate_json(body).model_dump_json().encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return echo


class Echo:
    """Serve the echo."""

    def __serve_build_asgi_app__(self) -> Any:
        return build_echo()


def deploy(address: str, replicas: int) -> None:
    """Deploy the echo and wait until its replicas run."""
    import ray
    from ray import serve
    from ray.serve.schema import LoggingConfig

    ray.init(address=address, log_to_driver=False)
    deployment = serve.deployment(
        name="Echo",
        num_replicas=replicas,
        max_ongoing_requests=ONGOING_REQUESTS_MAX,
        ray_actor_options={"num_cpus": 0},
    )
    serve.run(
        deployment(serve.ingress()(Echo)).bind(),
        name=APPLICATION,
        route_prefix=ROUTE,
        logging_config=LoggingConfig(enable_access_log=False),
    )


def delete(address: str) -> None:
    """Take the echo out; the gateway's application stays as it is."""
    import ray
    from ray import serve

    ray.init(address=address, log_to_driver=False)
    serve.delete(APPLICATION)


def main(arguments: list[str]) -> None:
    """Obey `deploy ADDRESS REPLICAS` or `delete ADDRESS`."""
    match arguments:
        case ["deploy", address, replicas]:
            deploy(address, int(replicas))
        case ["delete", address]:
            delete(address)
        case _:
            sys.exit(main.__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
