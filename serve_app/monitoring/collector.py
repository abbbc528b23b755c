"""What actors know, asked every other second by the monitor's own process and told to it as measures.

So no other process pays for it, however many there are, and an actor needs to know nothing of the monitor. One that
does not answer has no figures, and its `easypay_actor_up` is 0; the others are not kept waiting.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from actors.monitor.instruments import Instruments
from actors.runtime.errors import ActorError
from serve_app.monitoring.names import ACTOR_UP

EVERY_S = 2.0

_logger = logging.getLogger(__name__)

_Labels: TypeAlias = tuple[tuple[str, str], ...]


class Finding(NamedTuple):
    """A figure of an actor, as a gauge."""

    name: str
    value: float
    labels: _Labels = ()


class Counted(NamedTuple):
    """By how much something has risen since the look before, as a counter."""

    name: str
    by: float
    labels: _Labels = ()


class Changed(NamedTuple):
    """Something that was found to have changed: `kind` is one of those of the monitor."""

    kind: str
    what: str


Found: TypeAlias = Sequence[Finding | Counted | Changed]


class Probe(NamedTuple):
    """How an actor is asked. `look` raises ActorError where it does not answer."""

    actor: str
    look: Callable[[], Awaitable[Found]]


class Collector:
    """Has each probe look every other second, and keeps what it found in the instruments."""

    def __init__(
        self,
        instruments: Instruments,
        probes: Sequence[Probe],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._instruments = instruments
        self._probes = probes
        self._clock = clock
        self._sleep = sleep
        self._told: dict[str, set[tuple[str, _Labels]]] = {}

    async def run(self) -> None:
        """Go on until it is cancelled."""
        await asyncio.gather(*map(self._watch, self._probes))

    async def look(self, probe: Probe) -> None:
        """Have one probe look, once."""
        found: Found | None
        try:
            found = await probe.look()
        except ActorError:
            found = None
        self._instruments.gauge(ACTOR_UP, float(found is not None), actor=probe.actor)
        self._tell(probe.actor, found or ())

    async def _watch(self, probe: Probe) -> None:
        while True:
            due = self._clock() + EVERY_S
            try:
                await self.look(probe)
            except Exception:
                # A defect of one probe must not end the others, and the next look may go well.
                _logger.exception("what actor %s knows cannot be told", probe.actor)
                self._instruments.gauge(ACTOR_UP, 0.0, actor=probe.actor)
            await self._sleep(max(0.0, due - self._clock()))

    def _tell(self, actor: str, found: Found) -> None:
        """Set the gauges that were found, and let go of those that are not there any more."""
        present: set[tuple[str, _Labels]] = set()
        for each in found:
            if isinstance(each, Changed):
                self._instruments.changed(each.kind, each.what)
            elif isinstance(each, Counted):
                self._instruments.count(each.name, each.by, **dict(each.labels))
            else:
                present.add((each.name, each.labels))
                self._instruments.gauge(each.name, each.value, **dict(each.labels))
        for name, labels in self._told.get(actor, set()) - present:
            self._instruments.forget_gauge(name, **dict(labels))
        self._told[actor] = present
