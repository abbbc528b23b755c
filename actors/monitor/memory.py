"""Where what a monitor must not forget is kept."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Protocol


class Memory(Protocol):
    """Keeps a few kilobytes: a file, Redis, whatever outlives the actor. Errors are raised; the monitor tries again."""

    async def load(self) -> bytes | None:
        """Return what was saved last, None where nothing was."""
        ...

    async def save(self, text: bytes) -> None:
        """Keep this in place of what was saved before."""
        ...


class FileMemory:
    """Keep it in a file, which is there whole or not at all. For a monitor that always runs on one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # One that took too long goes on in its thread.
        self._writes = threading.Lock()

    async def load(self) -> bytes | None:
        """Return what was saved last, None where nothing was. Raises ``OSError``."""
        return await asyncio.to_thread(self._read)

    async def save(self, text: bytes) -> None:
        """Keep this. Raises ``OSError``."""
        await asyncio.to_thread(self._write, text)

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, text: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        with self._writes:
            beside.write_bytes(text)
            beside.replace(self._path)
