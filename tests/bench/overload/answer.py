"""An HTTP answer as far as the benchmark needs it, and what it counts as."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_LENGTH = b"\r\ncontent-length:"
_RETRY_AFTER = b"\r\nretry-after:"
_CLOSE = b"\r\nconnection: close"
_END = b"\r\n\r\n"


class Outcome(StrEnum):
    """How a request ended."""

    GOOD = "good"  # 2xx but 202: what goodput counts
    PENDING = "pending"  # 202: taken, but the processor's answer did not come in time
    REFUSED = "refused"  # 429, 503
    LATE = "late"  # 504
    ERROR = "error"  # any other status, or what is no HTTP
    UNANSWERED = "unanswered"  # nothing within the time limit
    BROKEN = "broken"  # no connection, or lost before the answer
    UNSENT = "unsent"  # the generator had no connection left, or nothing to send


# What a client that is told no, or not yet, was promised.
ANSWERED = frozenset({Outcome.GOOD, Outcome.PENDING, Outcome.REFUSED})


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one whole answer; ``retry_after_s`` is None where the header is missing or no whole number."""

    status: int
    body: bytes
    retry_after_s: int | None
    closes: bool

    @property
    def outcome(self) -> Outcome:
        """What it counts as."""
        if 200 <= self.status <= 299:
            return Outcome.PENDING if self.status == 202 else Outcome.GOOD
        if self.status in (429, 503):
            return Outcome.REFUSED
        return Outcome.LATE if self.status == 504 else Outcome.ERROR


def read_answer(buffer: bytes) -> Answer | None:
    """Return the answer that the buffer holds, or None while more is to come.

    Raises ValueError on what is no HTTP/1.1 with a Content-Length: a chunked answer would be cut wrongly.
    """
    end = buffer.find(_END)
    if end < 0:
        if not buffer.startswith(b"HTTP/1.1 "[: len(buffer)]):
            raise ValueError(f"no HTTP/1.1: {buffer[:100]!r}")
        return None
    head = buffer[: end + 2].lower()
    length = _number(head, _LENGTH)
    if not head.startswith(b"http/1.1 ") or length is None:
        raise ValueError(f"an answer without Content-Length: {head[:500]!r}")
    body = buffer[end + len(_END) :]
    if len(body) < length:
        return None
    status = int(head[9:12])
    retry_after_s = _number(head, _RETRY_AFTER) if status in (429, 503) else None
    return Answer(status, body, retry_after_s, _CLOSE in head)


def _number(head: bytes, name: bytes) -> int | None:
    at = head.find(name)
    if at < 0:
        return None
    text = head[at + len(name) : head.index(b"\r\n", at + 2)].strip()
    return int(text) if text.isdigit() else None
