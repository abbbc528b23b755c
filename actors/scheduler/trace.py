"""A run of a task within the trace of whoever enqueued it."""

from __future__ import annotations

from actors.runtime.traceparent import parse_traceparent
from actors.runtime.tracing import SpanKind, Tracer, Within, forget, root
from actors.scheduler.messages import Order

CONTINUES_S = 60.0


def run_span(tracer: Tracer | None, order: Order, started_at: float) -> Within:
    """Return the span of a run that starts at a time (seconds since 1970); nothing where its order is not traced.

    The first run belongs to the trace of what enqueued it, if it starts within a minute of when it was due. Later ones
    begin traces of their own with a link to it: a task may be repeated for days, and nobody can read a trace so long.
    """
    # The worker runs it in the context of whoever asked for it first.
    forget()
    origin = parse_traceparent(order.trace) if tracer is not None and order.trace is not None else None
    if tracer is None or origin is None:
        return Within(None)
    goes_on = order.attempt == 1 and started_at - order.run_at < CONTINUES_S
    return root(
        tracer,
        f"task {order.name}",
        SpanKind.CONSUMER,
        parent=origin if goes_on else None,
        link=None if goes_on else origin,
        attributes={"task.attempt": order.attempt, "task.wait_s": round(max(0.0, started_at - order.run_at), 3)},
    )
