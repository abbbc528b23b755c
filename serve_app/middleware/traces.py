"""The span of a request: the first of this process, beneath the caller's where there is one."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.types import ASGIApp, Receive, Scope, Send

from actors.runtime.traceparent import TraceParent
from actors.runtime.tracing import Attributes, Within, root
from serve_app.domain.ids import Prefix, public_id
from serve_app.tracing.exporter import Tracing
from serve_app.tracing.notes import Notes, known_method
from serve_app.tracing.sampling import Sampling

_KIND = SpanKind.SERVER


class Traces:
    """Records the requests that are chosen, and of those that failed or were slow the first span alone."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing
        self._sampling = Sampling(tracing.sample_ratio)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, which has its notes and its trace in the scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes: Notes = scope["notes"]
        parent: TraceParent | None = scope["traceparent"]
        if self._sampling.is_chosen(notes.trace_id, parent, notes.started):
            await self._traced(parent, scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            took_s = time.perf_counter() - notes.started
            if self._sampling.is_worth_a_span(notes.status, took_s, notes.started + took_s):
                self._leave_span(scope, took_s)

    async def _traced(self, parent: TraceParent | None, scope: Scope, receive: Receive, send: Send) -> None:
        notes: Notes = scope["notes"]
        notes.traced = True
        with self._begun(parent, scope) as span:
            assert span is not None, "a root has a span"
            try:
                await self._app(scope, receive, send)
            finally:
                _describe(span, scope, notes)

    def _begun(self, parent: TraceParent | None, scope: Scope) -> Within:
        if parent is None:
            self._tracing.ids.choose(scope["notes"].trace_id)
        return root(self._tracing.tracer, known_method(scope["method"]), _KIND, parent=parent)

    def _leave_span(self, scope: Scope, took_s: float) -> None:
        """Record a request that is over, with its stages as figures: nothing beneath it was recorded."""
        notes: Notes = scope["notes"]
        ended_ns = time.time_ns()
        # Beneath a parent that records nothing the span would be dropped: to this trace it is the first.
        self._tracing.ids.choose(notes.trace_id)
        span = self._tracing.tracer.start_span(
            known_method(scope["method"]),
            Context(),
            _KIND,
            attributes={f"easypay.stage.{name}_ms": round(s * 1000, 2) for name, s in notes.stages.items()},
            start_time=ended_ns - int(took_s * 1e9),
        )
        span.set_attribute("easypay.sampled_because", "failed" if notes.status >= 500 else "slow")
        _describe(span, scope, notes)
        span.end(ended_ns)
        notes.traced = True


def _describe(span: Span, scope: Scope, notes: Notes) -> None:
    """Name the span by the template of its path, and say how it ended: in words and figures of ours."""
    route = scope.get("route_template")
    if route is not None:
        span.update_name(f"{known_method(scope['method'])} {route}")
    span.set_attributes(_attributes(route, scope, notes))
    if notes.status >= 500:
        span.set_attribute("error.type", str(notes.status))
        span.set_status(StatusCode.ERROR)


def _attributes(route: str | None, scope: Scope, notes: Notes) -> Attributes:
    found: dict[str, Any] = {
        "http.request.method": known_method(scope["method"]),
        "http.route": route,
        "http.response.status_code": notes.status,
        "easypay.request_id": scope.get("request_id"),
        "easypay.merchant": None if notes.merchant_id is None else public_id(Prefix.MERCHANT, notes.merchant_id),
        "easypay.outcome": notes.outcome,
        "easypay.decline_code": notes.decline_code,
        "easypay.replayed": notes.replayed,
        "easypay.cached": notes.cached,
    }
    return {name: value for name, value in found.items() if value is not None}
