"""Keeps webhooks off addresses that they may not reach, when a name is resolved and again when a socket is made.

The second check sees the very address that is connected to, so neither a name that resolves to another address the
second time (DNS rebinding) nor an address that is written into the URL passes by it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from serve_app.webhooks.addresses import may_be_reached, parse_address
from serve_app.webhooks.urls import UrlRefused, checked_host

Lookup = Callable[[str, int, int], Awaitable[Sequence[tuple[int, str]]]]
"""Resolves a host and port for a family of addresses to pairs of a family and an address; raises OSError."""

_LOOKUPS_AT_ONCE_MAX = 32
_REGISTRATION_WITHIN_S = 2.0


class ForbiddenAddress(PermissionError):
    """The host leads to an address that webhooks may not reach."""

    @classmethod
    def of(cls, host: str) -> ForbiddenAddress:
        """Return the error of a host."""
        return cls(errno.EACCES, "leads to an address that webhooks may not reach", host)


class SystemLookup:
    """The system's resolver, in threads of its own: names that do not answer hold up no other work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE_MAX, thread_name_prefix="webhook-dns")

    async def __call__(self, host: str, port: int, family: int) -> Sequence[tuple[int, str]]:
        """Resolve; raises OSError."""
        ask = partial(socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [(int(each[0]), str(each[4][0])) for each in found]

    def close(self) -> None:
        """Start no more look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class AddressGuard(AbstractResolver):
    """Decides where webhooks may go: at registration, at resolution and at the connection."""

    def __init__(self, lookup: Lookup, *, allow_loopback: bool) -> None:
        self._lookup = lookup
        self._allow_loopback = allow_loopback

    async def check(self, url: str) -> None:
        """Check a URL that is registered. A name that cannot be resolved now is taken: it is checked at each delivery.

        Raises:
            UrlRefused: webhooks may not go there.
        """
        host = checked_host(url, allow_loopback=self._allow_loopback)
        if not isinstance(host, str):
            return
        try:
            async with asyncio.timeout(_REGISTRATION_WITHIN_S):
                await self.resolve(host)
        except ForbiddenAddress:
            raise UrlRefused("must not lead to a private, loopback, link-local or reserved address") from None
        except OSError:  # TimeoutError is one.
            return

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises ForbiddenAddress where one of them may not be reached."""
        found = await self._lookup(host, port, socket.AF_UNSPEC)
        if not all(self._may_reach(address) for _, address in found):
            raise ForbiddenAddress.of(host)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in found
            if family in (socket.AF_UNSPEC, kind)
        ]

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket for a connection to an address; raises ForbiddenAddress instead where it may not be made."""
        family, kind, protocol, _, address = info
        if not self._may_reach(str(address[0])):
            raise ForbiddenAddress.of(str(address[0]))
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """The look-up is its owner's to close."""

    def _may_reach(self, address: str) -> bool:
        return may_be_reached(parse_address(address), allow_loopback=self._allow_loopback)
