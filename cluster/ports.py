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

PORTS = range(20_000, 32_000)
_TRIES_MAX = 1_000


class NoFreePort(Exception):
    """No block of free ports of the wanted size was found."""


class PortBook:
    """Hand out ports by name."""

    def __init__(self, file: Path, ports: range = PORTS) -> None:
        self._file = file
        self._range = ports
        # First port and length of each block.
        self._blocks: dict[str, tuple[int, int]] = json.loads(file.read_text()) if file.exists() else {}

    def port(self, name: str, *, block: int = 1) -> int:
        """Return the first of `block` free ports in a row, the same as last time where that is possible."""
        first, length = self._blocks.get(name, (0, 0))
        if length == block and all(is_free(port) for port in range(first, first + block)):
            return first
        first = self._choose(block)
        self._blocks[name] = (first, block)
        write_private(self._file, json.dumps(self._blocks, indent=1))
        return first

    def _choose(self, block: int) -> int:
        taken = {port for first, length in self._blocks.values() for port in range(first, first + length)}
        for _ in range(_TRIES_MAX):
            # By chance, so that two gateways that start at the same moment hardly ever choose the same.
            first = random.randrange(self._range.start, self._range.stop - block + 1)
            candidates = range(first, first + block)
            if taken.isdisjoint(candidates) and all(is_free(port) for port in candidates):
                return first
        raise NoFreePort(f"no {block} free ports in a row from {self._range.start} to {self._range.stop - 1}")


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
