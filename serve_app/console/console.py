"""The operations page as a part of a replica: made once, from what the replica has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from actors.cache.level2.sealing import Sealer, derived_key
from actors.cache.level2.server import RedisServer
from serve_app.console.assets import Assets
from serve_app.console.cookie import SessionCookie
from serve_app.console.documents import Documents
from serve_app.console.feed import Feed
from serve_app.console.gatekeeper import Gatekeeper, Keys
from serve_app.console.panels import panels_of
from serve_app.console.redis_sessions import RedisSessions
from serve_app.console.sealed_sessions import SealedSessions
from serve_app.console.session import Sessions
from serve_app.console.stream import Streams
from serve_app.http.operation import Operation

_REDIS_CONNECTIONS = 2
_REDIS_WITHIN_S = 1.0
"""More than the cache gives it: a person waits here, and has nowhere else to go."""
_PURPOSE = "easypay operator sessions"


class OpenSessions(Sessions, Protocol):
    """Sessions that hold connections."""

    async def close(self) -> None: ...


class Console:
    """Holds what outlives a request of the page."""

    def __init__(self, sessions: OpenSessions, keys: Keys, gateway: str) -> None:
        self.sessions = sessions
        self.keys = keys
        self.cookie = SessionCookie(gateway)
        self.gatekeeper = Gatekeeper(sessions, self.cookie, keys, time.time)
        self.assets = Assets()
        self.documents = Documents(self.assets)
        self.streams: Streams | None = None

    def show(self, operations: Sequence[Operation]) -> None:
        """Have the panels show these operations; to be said once, before the first stream."""
        self.streams = Streams(Feed(panels_of(operations)))

    def stop_streams(self) -> None:
        """End the streams, which would keep a replica that is to stop from doing so."""
        if self.streams is not None:
            self.streams.stop()

    async def close(self) -> None:
        """Close the connections."""
        self.stop_streams()
        await self.sessions.close()


def open_sessions(redis_url: str | None, pepper: bytes) -> OpenSessions:
    """Return sessions in Redis, or, without one, in the browsers; sealed in either case.

    The key comes of the pepper of API keys, which every replica has: with another pepper no key is valid either.
    """
    sealer = Sealer(derived_key(pepper, _PURPOSE))
    if redis_url is None:
        return SealedSessions(sealer, time.time)
    return RedisSessions(
        RedisServer(redis_url, pool_size=_REDIS_CONNECTIONS, deadline_s=_REDIS_WITHIN_S), sealer, time.time
    )
