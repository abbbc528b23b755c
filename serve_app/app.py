"""The gateway's ASGI application: middleware, routes and the services behind them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.audit.endpoints import AuditEndpoints
from serve_app.audit.operators import audited
from serve_app.callbacks.endpoints import CallbackEndpoints
from serve_app.console.actions import ACTIONS
from serve_app.console.endpoints import ConsoleEndpoints
from serve_app.http.docs import Documentation
from serve_app.http.operation import Operation
from serve_app.http.router import Router
from serve_app.incident import describe
from serve_app.ledger_checks.endpoints import LedgerEndpoints
from serve_app.logs import is_written
from serve_app.middleware.access_log import AccessLog, BatchedLines
from serve_app.middleware.compression import Compression
from serve_app.middleware.faults import Faults
from serve_app.middleware.http_metrics import HttpMetrics
from serve_app.middleware.rate_limit import RateLimitHeaders
from serve_app.middleware.request_id import RequestId
from serve_app.middleware.trace_context import TraceContext
from serve_app.ops.alerts import AlertEndpoints
from serve_app.ops.breakers import BreakerEndpoints
from serve_app.ops.cache import CacheEndpoints
from serve_app.ops.cache_shards import CacheShardEndpoints
from serve_app.ops.database import DatabaseEndpoints
from serve_app.ops.endpoints import HealthEndpoints
from serve_app.ops.metric_sources import metric_sources
from serve_app.ops.metrics import MetricsEndpoints
from serve_app.ops.overview import OverviewEndpoints
from serve_app.ops.payments import OperatorPaymentEndpoints
from serve_app.ops.pool import PoolEndpoints
from serve_app.ops.servers import ServerEndpoints
from serve_app.ops.tasks import TaskEndpoints
from serve_app.ops.webhooks import OperatorWebhookEndpoints
from serve_app.payments.endpoints import PaymentEndpoints
from serve_app.refunds.endpoints import RefundEndpoints
from serve_app.services import Services
from serve_app.webhooks.delivery_endpoints import DeliveryEndpoints
from serve_app.webhooks.endpoints import WebhookEndpoints
from serve_app.webhooks.event_endpoints import EventEndpoints

_DRAIN_S = 30.0
_logger = structlog.get_logger(__name__)


class GatewayApp:
    """Opens the services when the server starts, and lets payments in flight finish when it stops."""

    def __init__(self, open_services: Callable[[], Awaitable[Services]]) -> None:
        self._open_services = open_services
        self._services: Services | None = None
        self._app: ASGIApp | None = None
        self._log_lines = BatchedLines(_write_to_standard_output)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        assert self._app is not None, "requests come after the start"
        await self._app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._services = await self._open_services()
            self._app = assemble(self._services, self._log_lines if is_written("info") else None)
        except Exception as error:
            _logger.error("the gateway did not start", **describe(error))
            await send({"type": "lifespan.startup.failed", "message": "the gateway did not start, see its log"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        left = await self._services.drain(_DRAIN_S)
        if left:
            _logger.warning("payments are left to the resolver", count=left)
        await self._services.close()
        self._log_lines.flush()
        await send({"type": "lifespan.shutdown.complete"})


def assemble(
    services: Services, log_lines: BatchedLines | None, operations: Sequence[Operation] | None = None
) -> ASGIApp:
    """Return the application on services that are open; `operations` are all of them, unless said. Without `log_lines`
    requests are not logged."""
    operations = operations_of(services) if operations is None else operations
    services.console.show(operations)
    app: ASGIApp = Faults(
        Router(operations, services.authenticator, services.limits, services.admission, services.console.gatekeeper)
    )
    # Outside of the faults, so that problems are compressed too; inside of the log, whose times are what clients see.
    if services.compressor is not None:
        app = Compression(app, services.compressor)
    # Outside of the compression: what is measured is what clients get.
    if services.instruments is not None:
        app = HttpMetrics(app, services.instruments)
    if services.tracing is not None:
        # Here, for where nothing is exported OpenTelemetry's SDK is not loaded.
        from serve_app.middleware.traces import Traces

        app = Traces(app, services.tracing)
    return RequestId(TraceContext(RateLimitHeaders(AccessLog(app, log_lines))))


def operations_of(services: Services) -> Sequence[Operation]:
    """Return every operation of the API, with the two that document them."""
    declared = [
        *PaymentEndpoints(services.payments).operations(),
        *RefundEndpoints(services.refunds).operations(),
        *AuditEndpoints(services.audit).operations(),
        *WebhookEndpoints(services.webhooks).operations(),
        *DeliveryEndpoints(services.webhooks).operations(),
        *EventEndpoints(services.webhooks).operations(),
        *CallbackEndpoints(services.callback_signatures, services.callbacks).operations(),
        *HealthEndpoints(services.database).operations(),
        *CacheEndpoints(services.cache, services.cached_payments).operations(),
        *MetricsEndpoints(metric_sources(services)).operations(),
        *OverviewEndpoints(services.monitor).operations(),
        *AlertEndpoints(services.monitor, services.operator_log).operations(),
        *PoolEndpoints(services.pool_manager).operations(),
        *ServerEndpoints(services.replica_monitor, services.servers).operations(),
        *DatabaseEndpoints(services.database, services.optimizer, services.maintenance).operations(),
        *TaskEndpoints(services.task_table, services.tasks, services.task_scheduler).operations(),
        *CacheShardEndpoints(services.ring).operations(),
        *BreakerEndpoints(services.breaker_board).operations(),
        *LedgerEndpoints(services.ledger_check).operations(),
        *OperatorPaymentEndpoints(services.payments, services.database).operations(),
        *OperatorWebhookEndpoints(services.webhooks, services.database).operations(),
        *ConsoleEndpoints(services.console).operations(),
    ]
    audits = [audited(operation, ACTIONS, services.operator_log) for operation in declared]
    return [*audits, *Documentation(audits, version("easypay")).operations()]


def _write_to_standard_output(text: bytes) -> None:
    """Write to the process's own standard output: Serve puts a logger in place of sys.stdout, at 0.2 ms a line."""
    os.write(1, text)
