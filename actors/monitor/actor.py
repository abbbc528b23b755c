"""The monitor as an actor."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from actors.monitor.courier import Courier
from actors.monitor.inlet import Inlet
from actors.monitor.keeper import Keeper
from actors.monitor.memory import Memory
from actors.monitor.messages import Batch, Bundle, Reply, Totals
from actors.monitor.monitor import Monitor
from actors.monitor.outbox import Counts
from actors.monitor.reporter import Listener
from actors.monitor.rules import Rules
from actors.monitor.series import Labels
from actors.monitor.silences import Silence
from actors.monitor.sinks import LogSink, Sink
from actors.monitor.views import AlertsView, Overview
from actors.runtime.clock import SystemClock
from actors.runtime.supervised import Supervised

STEP_S = 0.25

_logger = logging.getLogger(__name__)


def log_alone() -> Sequence[Sink]:
    """Return the sinks of who names none."""
    return (LogSink(),)


def no_memory() -> Memory | None:
    """Return the memory of who has none."""
    return None


class MonitorAggregatorActor(Supervised):
    """Adds up and judges what processes tell; what it promises stands at ``Monitor``.

    It delivers alerts to sinks, and saves what must outlive it to a memory: at once what changed, and once a minute
    how far budgets are used up. After a restart totals begin at zero, as Prometheus expects of a counter; windows,
    history and forecast begin anew; alerts, silences and budgets go on where there is a memory. What processes counted
    meanwhile they tell then.
    """

    def __init__(
        self,
        code_version: str,
        rules: Callable[[], Rules] = Rules,
        sinks: Callable[[], Sequence[Sink]] = log_alone,
        memory: Callable[[], Memory | None] = no_memory,
        begin: Callable[[Listener], None] = lambda _: None,
    ) -> None:
        """All are called in the actor's process, once, when it is first used; ``begin`` first, with whom that process
        may tell what it measures itself, without a call to its own actor."""
        super().__init__(code_version)
        self._make = rules, sinks, memory
        self._begin = begin
        self._clock = SystemClock()
        self._monitor: Monitor | None = None
        self._couriers: tuple[Courier, ...] = ()
        self._keeper: Keeper | None = None
        self._running: asyncio.Task[None] | None = None
        self._inlet = Inlet(self.report)

    async def ensure_running(self) -> str:
        """Judge, unless it does already, and return the version; safe to repeat."""
        self._start()
        await self._inlet.open()
        return await super().ensure_running()

    async def report(self, batch: Batch) -> Reply:
        """Take a process's batch. Safe to repeat."""
        monitor = self._start()
        monitor.take(batch, self._clock.monotonic())
        return Reply(True, monitor.wants_relay(batch.node), self._inlet.name)

    async def report_bundle(self, bundle: Bundle) -> Reply:
        """Take a node's bundle. Safe to repeat."""
        monitor = self._start()
        heard = monitor.take_bundle(bundle, self._clock.monotonic())
        return Reply(heard, monitor.wants_relay(bundle.node))

    async def series(self) -> Totals:
        """Return everything that was told."""
        return self._start().totals()

    async def overview(self) -> Overview:
        """Return how it goes."""
        return self._start().overview(self._clock.monotonic(), self._clock.now())

    async def alerts(self) -> AlertsView:
        """Return all alerts and silences."""
        return self._start().alerts()

    async def silence(self, silence_id: str, alert: str, labels: Labels, for_s: float, by: str, why: str) -> Silence:
        """Begin a silence, or replace the one of its id, and save it. Raises ``TooManySilences``. Safe to repeat."""
        until = self._clock.now() + timedelta(seconds=for_s)
        silence = Silence(silence_id, alert, labels, until, by, why)
        self._start().silence(silence)
        await self._save()
        return silence

    async def unsilence(self, silence_id: str) -> bool:
        """End a silence and save that; False where there is none of that id. Safe to repeat."""
        ended = self._start().unsilence(silence_id)
        await self._save()
        return ended

    async def deliveries(self) -> dict[str, Counts]:
        """Return what became of the alerts that were sent, by sink."""
        self._start()
        return {courier.sink.name: courier.counts() for courier in self._couriers}

    def _start(self) -> Monitor:
        if self._monitor is None or self._keeper is None:
            self._begin(self)
            rules, sinks, memory = self._make
            self._monitor = Monitor(rules(), self._clock.monotonic())
            self._couriers = tuple(Courier(sink) for sink in sinks())
            self._keeper = Keeper(self._monitor, memory(), self._clock)
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run(self._monitor, self._keeper))
        return self._monitor

    async def _run(self, monitor: Monitor, keeper: Keeper) -> None:
        ended = 0
        while True:
            await keeper.load()
            changed = self._step(monitor)
            if keeper.may_tell:
                news = monitor.news()
                for courier in self._couriers:
                    courier.send(news)
            now_ended = sum(courier.counts().ended for courier in self._couriers)
            await keeper.save(self._undelivered(), changed=changed or now_ended != ended)
            ended = now_ended
            await asyncio.sleep(STEP_S)

    def _step(self, monitor: Monitor) -> bool:
        try:
            return monitor.step(self._clock.monotonic(), self._clock.now())
        except Exception:
            # A rule that fails must not end the judging of all later seconds.
            _logger.exception("the monitor cannot judge")
            return False

    def _undelivered(self) -> set[str]:
        return {alert_id for courier in self._couriers for alert_id in courier.waiting()}

    async def _save(self) -> None:
        if self._keeper is not None:
            await self._keeper.save(self._undelivered())
