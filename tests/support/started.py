"""Servers that run for as long as a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Server(Protocol):
    """What can be started, and removed with all that it left."""

    def start(self) -> None: ...

    def remove(self) -> None: ...


_Server = TypeVar("_Server", bound=Server)


@contextmanager
def started(server: _Server) -> Iterator[_Server]:
    """Start a server; remove it at the end, also where it did not start."""
    try:
        server.start()
        yield server
    finally:
        server.remove()
