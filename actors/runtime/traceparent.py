"""The context of a trace as text, as it goes to other processes and services and lies beside a task.

Source: W3C Trace Context, level 2, section 3.2 (the header `traceparent`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?\Z", re.DOTALL)
_LENGTH_MAX = 256
_SAMPLED = 0x01


class TraceParent(NamedTuple):
    """A span of a trace, as others know it. ``sampled``: whoever made it records it."""

    trace_id: int
    span_id: int
    sampled: bool

    def encode(self) -> str:
        """Return it as the header's value, 55 characters."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"


def parse_traceparent(text: str) -> TraceParent | None:
    """Read a header's value; None where it is not valid, as the standard says: then a new trace begins."""
    form = _FORM.match(text) if len(text) <= _LENGTH_MAX else None
    if form is None:
        return None
    version, trace_id, span_id, flags = form.groups()
    # Later versions may add fields, this one may not; 255 is never a version.
    if version == "ff" or (version == "00" and len(text) != form.end(4)):
        return None
    parent = TraceParent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))
    return parent if parent.trace_id and parent.span_id else None
