"""What came of one try to deliver."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a try: the receiver's answer with its first bytes, or the error that stood in its place."""

    duration_ms: int
    code: int | None = None
    body: str | None = None
    retry_after: str | None = None
    error: str | None = None
