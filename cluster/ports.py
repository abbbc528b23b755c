"""The ports of one gateway: chosen once, kept in a file, taken again while they are free.

They stay the same over restarts so that URLs do. All lie below the range from which Linux gives ports to outgoing
connections (from 32768), so that no connection of a stranger can sit on one between two runs.
"""

from __future__ import annotations

import errno
import json
import random
import socket
from pathlib import Path

from cluster.private_file import write_private

_FIRST = 20_000
_LAST = 32_000
_TRIES_MAX = 1_000


class NoFreePort(Exception):
    """No block of free ports of the wanted size was found."""


class PortBook:
    """Hand out ports by name."""

    def __init__(self, file: Path, seed: int | None = None) -> None:
        self._file = file
        # By chance, so that two gateways that start at the same moment hardly ever choose the same.
        self._random = random.Random(seed)
        self._ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def port(self, name: str, *, block: int = 1) -> int:
        """Return the first of `block` free ports in a row, the same as last time where that is possible."""
        known = self._ports.get(name)
        if known is not None and all(is_free(port) for port in range(known, known + block)):
            return known
        self._ports[name] = self._choose(block)
        write_private(self._file, json.dumps(self._ports, indent=1))
        return self._ports[name]

    def _choose(self, block: int) -> int:
        taken = set(self._ports.values())
        for _ in range(_TRIES_MAX):
            first = self._random.randrange(_FIRST, _LAST - block)
            candidates = range(first, first + block)
            if taken.isdisjoint(candidates) and all(is_free(port) for port in candidates):
                return first
        raise NoFreePort(f"no {block} free ports in a row between {_FIRST} and {_LAST}")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen on this port now. Connections in TIME_WAIT do not count."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Some of Ray's servers listen on all interfaces, so these count as well.
    wildcard = "::" if family == socket.AF_INET6 else "0.0.0.0"
    return all(_can_bind(family, address, port) for address in {host, wildcard})


def _can_bind(family: socket.AddressFamily, host: str, port: int) -> bool:
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
