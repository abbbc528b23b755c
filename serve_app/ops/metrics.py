"""Metrics for Prometheus.

They are of the whole gateway: whichever replica is scraped, they are the same. The exceptions are what there is at the
gate at this moment, which is that of the replica that answers; their label `process` names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response
from serve_app.merchants.secrets import Scope
from serve_app.ops.exposition import PLAIN, content_type_for, exposition
from serve_app.ops.metric_sources import MetricSource


class MetricsEndpoints:
    """Shows what Prometheus scrapes."""

    def __init__(self, sources: Sequence[MetricSource]) -> None:
        self._sources = sources

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "GET", "/metrics", self.metrics, "Scrape the metrics", "Operations", Scope.ADMIN.value,
                answers={200: PLAIN},
            ),
        )  # fmt: skip

    async def metrics(self, call: Call) -> Response:
        """Show the metrics as they are now: in OpenMetrics where the Accept header names it, else in plain text."""
        # Beside each other: where several actors are away, the scrape waits for the slowest and not for all in turn.
        families = await asyncio.gather(*(source() for source in self._sources))
        content_type = content_type_for(call.headers)
        body = exposition(chain.from_iterable(families), content_type)
        return Response(200, body, ((b"content-type", content_type.encode()),))
