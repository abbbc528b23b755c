"""The engine's limit for reads: raw ASGI that answers every request with the bytes of one payment."""

from __future__ import annotations

import os
import sys
from typing import Any

from tests.bench.deployment import Application, obey

ROUTE = "/bench-read-echo"
ENVIRONMENT = "ECHO_ANSWER"


class ReadEcho:
    """Serve it. What runs elsewhere is sent by value, so everything is inside."""

    def __init__(self, answer: str) -> None:
        self._answer = answer.encode()

    def __serve_build_asgi_app__(self) -> Any:
        answer = self._answer
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": answer})

        return app


if __name__ == "__main__":
    obey(sys.argv[1:], Application("bench-read-echo", ROUTE, ReadEcho, (os.environ.get(ENVIRONMENT, ""),)))
