"""The only way to the monitor."""

from __future__ import annotations

import secrets

from actors.monitor.messages import Batch, Bundle, Reply, Totals
from actors.monitor.outbox import Counts
from actors.monitor.series import Labels
from actors.monitor.silences import Silence
from actors.monitor.views import AlertsView, Overview
from actors.runtime.client import ActorClient

MONITOR_NAME = "monitor"
_REPORT_TIMEOUT_S = 1.0
_RELAY_TIMEOUT_S = 2.0
"""A relay's turn, its call to the monitor, and a busy machine: the relay says by itself that it was not heard."""
_START_TIMEOUT_S = 60.0
_CALL_TIMEOUT_S = 2.0


def relay_name(node: str, version: str) -> str:
    """Return the name of the actor, of this version of the code, that adds up what the processes of a node measure.

    After a deploy new processes find one of their own version; nobody tells the old one any more, and it ends.
    """
    return f"{MONITOR_NAME}-relay:{node}:{version}"


class RelayClient(ActorClient):
    """Tell a node's relay, which tells the monitor; raises what ``ActorClient`` says."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(name, namespace)

    async def ensure_running(self) -> None:
        """Wait until it has started, for a minute at most. Safe to repeat."""
        await self._ask("ensure_running", timeout_s=_START_TIMEOUT_S, repeatable=True)

    async def report(self, batch: Batch) -> Reply:
        """Tell what a process measured, and return what the monitor answered.

        It is not repeated here, for a relay that started anew does not know what the one before has told: what is told
        again has to say so by its age.
        """
        reply: Reply = await self._ask("report", batch, timeout_s=_RELAY_TIMEOUT_S, repeatable=False)
        return reply


class MonitorClient(ActorClient):
    """Tell and ask the monitor. Every call is safe to repeat, and raises what ``ActorClient`` says."""

    def __init__(self, namespace: str, name: str = MONITOR_NAME) -> None:
        super().__init__(name, namespace)

    async def report(self, batch: Batch) -> Reply:
        """Tell what a process measured. A batch that comes twice counts once."""
        reply: Reply = await self._ask("report", batch, timeout_s=_REPORT_TIMEOUT_S, repeatable=True)
        return reply

    async def report_bundle(self, bundle: Bundle) -> Reply:
        """Tell what the processes of a node measured. A bundle that comes twice counts once."""
        reply: Reply = await self._ask("report_bundle", bundle, timeout_s=_REPORT_TIMEOUT_S, repeatable=True)
        return reply

    async def series(self) -> Totals:
        """Return all that was told since the monitor started, for a scrape."""
        totals: Totals = await self._ask("series", timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return totals

    async def overview(self) -> Overview:
        """Return how it goes."""
        overview: Overview = await self._ask("overview", timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return overview

    async def alerts(self) -> AlertsView:
        """Return all alerts, the firing first, and all silences."""
        alerts: AlertsView = await self._ask("alerts", timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return alerts

    async def silence(self, alert: str, for_s: float, by: str, why: str, labels: Labels = ()) -> Silence:
        """Let nobody be told of an alert, with these labels and whatever others, for so long; return the silence.

        Raises ``TooManySilences`` besides.
        """
        arguments = secrets.token_hex(6), alert, labels, for_s, by, why
        silence: Silence = await self._ask("silence", *arguments, timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return silence

    async def unsilence(self, silence_id: str) -> bool:
        """End a silence; False where there is none of that id, or it was ended before."""
        ended: bool = await self._ask("unsilence", silence_id, timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return ended

    async def deliveries(self) -> dict[str, Counts]:
        """Return what became of the alerts that were sent, by sink, since the monitor started."""
        counts: dict[str, Counts] = await self._ask("deliveries", timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return counts
