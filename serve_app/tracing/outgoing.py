"""The trace as the services that we call are told of it."""

from __future__ import annotations

import random

from actors.runtime.traceparent import TraceParent
from actors.runtime.tracing import traceparent
from serve_app.tracing.notes import current_notes

HEADER = "traceparent"


def outgoing_traceparent() -> str | None:
    """Return the value of `traceparent` for a call: the current span, or, where the request is not sampled, its trace
    and that nobody records it; None where there is no trace.

    `tracestate` is not passed on: it is the text of whoever called us, and what we call is another company's. The
    standard lets a service drop it at such a border.
    """
    recorded = traceparent()
    if recorded is not None:
        return recorded.encode()
    notes = current_notes()
    # One bit set, for zero is no id.
    return None if notes is None else TraceParent(notes.trace_id, random.getrandbits(64) | 1, False).encode()
