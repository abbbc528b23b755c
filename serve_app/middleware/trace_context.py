"""Every request belongs to a trace: its caller's, if that can be told, or one of its own.

Source: W3C Trace Context, level 2. It holds also where nothing is exported, for the id is in our log line and in what
we call, and joins both to the caller's.
"""

from __future__ import annotations

import random
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from actors.runtime.traceparent import TraceParent, parse_traceparent

_HEADER = b"traceparent"
# Stricter than with ids that clients make as they like: these have a fixed length, so a card number in one is filled up
# with other digits, and no check of the whole finds it. Of random ones a traceparent in 44 has a run of so many decimal
# digits; one more trace that begins here is no loss.
_DIGITS_OF_A_CARD = re.compile(r"[0-9]{13}")


class TraceContext:
    """Puts what the caller said into scope["traceparent"], None where it said nothing that holds, and the trace's id
    into scope["trace_id"]. `tracestate` is not looked at."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request within its trace."""
        if scope["type"] == "http":
            parent = scope["traceparent"] = _given(scope)
            scope["trace_id"] = parent.trace_id if parent is not None else random.getrandbits(128) | 1
        await self._app(scope, receive, send)


def _given(scope: Scope) -> TraceParent | None:
    given = [value for name, value in scope["headers"] if name == _HEADER]
    if len(given) != 1:
        return None
    text = str(given[0], "latin-1")
    # An id is logged, so it must not be what a client could not help but put there.
    return None if _DIGITS_OF_A_CARD.search(text) else parse_traceparent(text)
