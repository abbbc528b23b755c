"""What is measured of attempts: how long each stage takes, and what becomes of payments."""

from __future__ import annotations

from enum import StrEnum
from types import TracebackType
from typing import Protocol

from actors.runtime.clock import Clock
from serve_app.domain.payment import Payment
from serve_app.tracing.notes import Noted


class Stage(StrEnum):
    """A part of a request in which it waits. They follow each other, but for the pool, which is part of the others."""

    ADMISSION = "admission"
    """for its turn; of those that had to wait"""
    POOL = "pool"
    """for a connection to the database, within begin, conclude and reads; of those that had to wait"""
    BEGIN = "begin"
    """for the intent to be durable, and for caches to be told of it before"""
    PROCESSOR = "processor"
    CONCLUDE = "conclude"
    """for the outcome to be durable, and for caches to know it"""


class AttemptMeter(Protocol):
    """Takes note of attempts. It must be quick, and must not fail."""

    def took(self, stage: Stage, seconds: float) -> None:
        """Take note of how long an attempt was in a stage, however that ended."""
        ...

    def concluded(self, payment: Payment, amount_minor: int) -> None:
        """Take note of a payment that an outcome of this amount brought into its state."""
        ...


class Unmeasured:
    """Takes note of nothing."""

    def took(self, stage: Stage, seconds: float) -> None:
        """Do nothing."""

    def concluded(self, payment: Payment, amount_minor: int) -> None:
        """Do nothing."""


class Timed:
    """A block that is one stage: a meter is told how long it took, however it ended, and so is the request's trace."""

    __slots__ = ("_meter", "_noted", "_stage")

    def __init__(self, meter: AttemptMeter, stage: Stage, clock: Clock) -> None:
        self._meter = meter
        self._stage = stage
        # One measurement for all three, so that a request's line and the distribution agree.
        self._noted = Noted(stage.value, clock.monotonic)

    def __enter__(self) -> None:
        self._noted.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._noted.__exit__(kind, error, traceback)
        self._meter.took(self._stage, self._noted.seconds)
