"""The peer as a Serve deployment beside the gateway, behind the same ingress."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tests.bench.deployment import Application, obey

ROUTE = "/bench-read"
ENVIRONMENT = ("PEER_DATABASE_URL", "PEER_API_KEY", "PEER_MERCHANT")
ROOT = Path(__file__).parents[3]


class ServedPeer:
    """Serve the peer."""

    def __init__(self, root: str, *settings: str) -> None:
        self._root = root
        self._settings = settings

    def __serve_build_asgi_app__(self) -> Any:
        # A replica runs elsewhere and finds the tests only when it is told where they are.
        sys.path.insert(0, self._root)
        from tests.bench.reads.peer import build_app

        return build_app(*self._settings)


if __name__ == "__main__":
    given = (os.environ.get(name, "") for name in ENVIRONMENT)
    obey(sys.argv[1:], Application("bench-read", ROUTE, ServedPeer, (str(ROOT), *given)))
