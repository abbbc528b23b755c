"""What a request's log line and its span tell of it, noted where it is known.

The notes lie in the request's context, so that the work behind it, which may be a task of its own, finds them. They
hold identifiers that we made, words of fixed sets and durations: nothing that a client sent, but for ids that were
checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from uuid import UUID

from actors.runtime.tracing import Within, child
from serve_app.domain.outcome_codes import known_code

CLIENT_GONE = 499
"""The status of a request that got no answer, because its client went away first."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER_METHOD = "_OTHER"
"""What stands for a method that is none. Source: OpenTelemetry, semantic conventions for HTTP spans."""


class Notes:
    """Notes on one request. ``stages`` are seconds by stage; one that ran again counts all its times."""

    __slots__ = (
        "cached",
        "decline_code",
        "livemode",
        "merchant_id",
        "outcome",
        "replayed",
        "stages",
        "started",
        "status",
        "trace_id",
        "traced",
    )

    def __init__(self, trace_id: int) -> None:
        self.started = time.perf_counter()
        self.trace_id = trace_id
        self.traced = False
        self.status = CLIENT_GONE
        self.merchant_id: UUID | None = None
        self.livemode: bool | None = None
        self.outcome: str | None = None
        self.decline_code: str | None = None
        self.replayed: bool | None = None
        self.cached: bool | None = None
        self.stages: dict[str, float] = {}

    def answered(self, outcome: str, code: str | None, *, replayed: bool) -> None:
        """Note what became of an attempt, and the processor's code where it gave one that is known."""
        self.outcome = outcome
        self.replayed = replayed
        if code is not None:
            self.decline_code = known_code(code)

    def called_by(self, merchant_id: UUID, *, livemode: bool) -> None:
        """Note whose request it is. What was read to find that out does not count as read for the answer."""
        self.merchant_id = merchant_id
        self.livemode = livemode
        self.cached = None

    def enter(self) -> Token[Notes | None]:
        """Make them those of the current context, and return what `leave` takes."""
        return _current.set(self)

    @staticmethod
    def leave(token: Token[Notes | None]) -> None:
        """End what `enter` began."""
        _current.reset(token)


def known_method(method: str) -> str:
    """Return the method of a request as it may be told: a client can send any word as one."""
    return method if method in _METHODS else OTHER_METHOD


_current: ContextVar[Notes | None] = ContextVar("notes", default=None)


def current_notes() -> Notes | None:
    """Return the notes on the request that this work is for; None where it is for none."""
    return _current.get()


class Noted:
    """A block that is one stage of a request: its duration is noted, and it is a span where the request is traced.

    ``seconds`` is how long it took, once it is over, whether it was for a request or not.
    """

    __slots__ = ("_clock", "_name", "_notes", "_started", "_within", "seconds")

    def __init__(self, name: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._name = name
        self._clock = clock
        self._notes = _current.get()
        self._started = self.seconds = 0.0
        self._within: Within | None = None

    def __enter__(self) -> None:
        self._started = self._clock()
        if self._notes is not None and self._notes.traced:
            self._within = child(self._name)
            self._within.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds = self._clock() - self._started
        if self._notes is None:
            return
        stages = self._notes.stages
        stages[self._name] = stages.get(self._name, 0.0) + self.seconds
        if self._within is not None:
            self._within.__exit__(kind, error, traceback)
