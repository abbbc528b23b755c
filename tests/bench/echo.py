"""The engine's limit: a raw ASGI echo with one pydantic check of the body, behind the gateway's own ingress."""

from __future__ import annotations

import sys
from typing import Any

from tests.bench.deployment import Application, obey

ROUTE = "/bench-echo"


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


if __name__ == "__main__":
    obey(sys.argv[1:], Application("bench-echo", ROUTE, Echo))
