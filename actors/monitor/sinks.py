"""Where alerts are delivered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
import structlog

from actors.monitor.alerts import AlertState, AlertView, Severity

WEBHOOK_TIMEOUT_S = 5.0

_logger = structlog.get_logger(__name__)


class DeliveryFailed(Exception):
    """A receiver did not take an alert; the text says why."""


class Sink(Protocol):
    """Someone who is told of alerts."""

    name: str

    async def deliver(self, alert: AlertView) -> None:
        """Tell that an alert fires or has resolved. Whatever it raises means that it did not arrive; the same one may
        then come twice, with the same id and state."""
        ...


class LogSink:
    """Write alerts to the log."""

    name = "log"

    async def deliver(self, alert: AlertView) -> None:
        """Write one; a page that fires is an error."""
        fires = alert.state is AlertState.FIRING
        write = _logger.error if fires and alert.severity is Severity.PAGE else _logger.warning
        write("an alert fires" if fires else "an alert has resolved", **_document(alert))


class WebhookSink:
    """Post alerts as JSON to one URL. Each carries its id and state in ``Idempotency-Key``: it may come twice."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        name: str = "webhook",
        timeout_s: float = WEBHOOK_TIMEOUT_S,
    ) -> None:
        self.name = name
        self._url = url
        self._headers = dict(headers or {})
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def deliver(self, alert: AlertView) -> None:
        """Post one. Raises ``DeliveryFailed``; its text names neither the URL nor a header, which may be secret."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": f"{alert.id}-{alert.state.value}",
            **self._headers,
        }
        body = json.dumps(_document(alert), separators=(",", ":")).encode()
        try:
            # Alerts are few: a connection that is kept would be cut by the time that it is wanted.
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError:
            raise DeliveryFailed("no answer within the deadline") from None
        except (aiohttp.ClientError, OSError) as failed:
            raise DeliveryFailed(type(failed).__name__) from None
        if not 200 <= status < 300:
            raise DeliveryFailed(f"the answer was {status}")


def _document(alert: AlertView) -> dict[str, Any]:
    return {
        "id": alert.id,
        "alert": alert.name,
        "labels": dict(alert.labels),
        "severity": alert.severity.value,
        "state": alert.state.value,
        "since": alert.since.isoformat(),
        "value": alert.value,
        "threshold": alert.threshold,
        "reason": alert.reason,
        "changes": [{"at": each.at.isoformat(), "kind": each.kind, "what": each.what} for each in alert.changes],
    }
