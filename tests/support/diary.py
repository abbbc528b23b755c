"""A watcher of processes that a test can wait on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Diary:
    """Write down what happens, and let a test wait for it."""

    entries: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_start(self, name: str) -> None:
        self._add(f"start {name}")

    def on_ready(self, name: str, seconds: float) -> None:
        assert seconds >= 0
        self._add(f"ready {name}")

    def on_death(self, name: str, reason: str) -> None:
        self._add(f"death {name}: {reason}")

    def on_all_ready(self) -> None:
        self._add("all ready")

    async def wait_for(self, entry: str, times: int = 1) -> None:
        """Return when the entry was made that often."""
        async with asyncio.timeout(20):
            while self.entries.count(entry) < times:
                self.changed.clear()
                await self.changed.wait()

    def _add(self, entry: str) -> None:
        self.entries.append(entry)
        self.changed.set()
