"""What the page shows, read once for all that watch, and only while somebody does.

Each panel is read at its own pace. A reader that is slow or fails takes no other panel away: what was read last stays,
and that its source is away is told. A watcher that does not keep up gets the newest of each panel and not all of them,
so nothing gathers however slow a browser is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from pydantic_core import to_json

from actors.runtime.errors import ActorError, Overloaded
from serve_app.incident import describe
from serve_app.problems import Problem, problem_of

WATCHERS_MAX = 32
"""Of one replica. Each gets a few KB a second, and holds a request of those that Serve counts."""
READ_WITHIN_S = 3.0
_RETRY_AFTER_S = 5.0

_logger = structlog.get_logger(__name__)

Read = Callable[[], Awaitable[bytes]]


class SourceAway(Exception):
    """What a panel shows cannot be read now; the text says why, for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the page: `read` returns it as JSON, or raises Problem or SourceAway. `brief` is what those get of it
    who had it before, where that is less than all."""

    name: str
    every_s: float
    read: Read
    brief: Callable[[bytes], bytes] = lambda whole: whole


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell a watcher: a panel by its name, or `away`."""

    name: str
    data: bytes


@dataclass(slots=True, eq=False)
class Watcher:
    """One page that is open: what it has not been told yet, by panel, the newest of each."""

    pending: dict[str, Event] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, panel: str, event: Event) -> None:
        """Have it told; what it was not told of the panel before is dropped."""
        self.pending[panel] = event
        self.news.set()

    def take(self) -> list[Event]:
        """Return what to tell it now."""
        events, self.pending = list(self.pending.values()), {}
        self.news.clear()
        return events


class Feed:
    """Reads the panels for the watchers. Bound to one loop."""

    def __init__(self, panels: Sequence[Panel], watchers_max: int = WATCHERS_MAX) -> None:
        self._panels = panels
        self._watchers_max = watchers_max
        self._watchers: set[Watcher] = set()
        self._latest: dict[str, Event] = {}
        self._reading: list[asyncio.Task[None]] = []

    @property
    def watchers(self) -> int:
        """How many pages are open."""
        return len(self._watchers)

    def join(self) -> Watcher:
        """Return a new watcher, who is told what is known already at once.

        Raises:
            Overloaded: there are as many as there may be.
        """
        if len(self._watchers) >= self._watchers_max:
            raise Overloaded("operations page", _RETRY_AFTER_S)
        watcher = Watcher()
        if not self._watchers:
            self._start()
        for panel, event in self._latest.items():
            watcher.tell(panel, event)
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Tell it nothing more. Without any watcher nothing is read."""
        self._watchers.discard(watcher)
        if not self._watchers:
            self._stop()

    def _start(self) -> None:
        # What was read for those who watched an hour ago is no news.
        self._latest.clear()
        self._reading = [asyncio.create_task(self._keep_reading(panel)) for panel in self._panels]

    def _stop(self) -> None:
        for task in self._reading:
            task.cancel()
        self._reading = []

    async def _keep_reading(self, panel: Panel) -> None:
        due = time.monotonic()
        while True:
            self._publish(panel, await _read(panel))
            # At a steady pace; what took longer than its time makes up for nothing.
            due = max(due + panel.every_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _publish(self, panel: Panel, event: Event) -> None:
        before = self._latest.get(panel.name)
        if before is not None and before == event:
            return
        self._latest[panel.name] = event
        brief = event if event.name != panel.name else Event(event.name, panel.brief(event.data))
        for watcher in self._watchers:
            # Whoever was told that the source is away, or nothing yet, has missed what came before.
            has_all = before is not None and before.name == panel.name and panel.name not in watcher.pending
            watcher.tell(panel.name, brief if has_all else event)


async def _read(panel: Panel) -> Event:
    """Return the panel, or that its source is away and why."""
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return Event(panel.name, await panel.read())
    except TimeoutError:
        reason = "It does not answer in time."
    except SourceAway as away:
        reason = away.reason
    except (Problem, ActorError) as problem:
        reason = problem_of(problem).detail
    except Exception as error:
        # The page is what one looks at when something is broken: it must outlive that.
        _logger.error("a panel of the operations page cannot be read", panel=panel.name, **describe(error))
        reason = "It cannot be read; the gateway's log says why."
    return Event("away", to_json({"panel": panel.name, "reason": reason}))
