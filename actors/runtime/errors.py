"""The one tree of errors of the actor library, split by what the caller does next.

Each error crosses processes by pickle: all arguments go to ``super().__init__`` and the text is made in ``__str__``.
A test pickles every class below ``ActorError``.
"""

from __future__ import annotations


class ActorError(Exception):
    """The root: whatever the actor library raises on purpose is one of these."""


class Overloaded(ActorError):
    """A bound was hit. Nothing was done; come back after ``retry_after_s``."""

    def __init__(self, resource: str, retry_after_s: float) -> None:
        super().__init__(resource, retry_after_s)
        self.resource = resource
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.resource} is overloaded; retry after {self.retry_after_s:g} s"


class Unavailable(ActorError):
    """It cannot be reached or cannot do it now. Nothing was done; come back after ``retry_after_s``."""

    def __init__(self, resource: str, reason: str, retry_after_s: float) -> None:
        super().__init__(resource, reason, retry_after_s)
        self.resource = resource
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.resource} is unavailable ({self.reason}); retry after {self.retry_after_s:g} s"


class DeadlineExceeded(ActorError):
    """The caller's deadline passed. Nothing was done, and nothing more will be tried."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation

    def __str__(self) -> str:
        return f"{self.operation} did not finish within its deadline"


class OutcomeUnknown(ActorError):
    """It may have happened. Ask, or repeat under the same id."""

    def __init__(self, operation: str, reason: str) -> None:
        super().__init__(operation, reason)
        self.operation = operation
        self.reason = reason

    def __str__(self) -> str:
        return f"the outcome of {self.operation} is unknown ({self.reason})"


class RowRejected(ActorError):
    """This row alone breaks a rule of the database. It was not written; the same row will fail again."""

    def __init__(self, statement: str, sqlstate: str, constraint: str | None) -> None:
        super().__init__(statement, sqlstate, constraint)
        self.statement = statement
        self.sqlstate = sqlstate
        self.constraint = constraint

    def __str__(self) -> str:
        rule = f", constraint {self.constraint}" if self.constraint else ""
        return f"{self.statement} rejected the row (SQLSTATE {self.sqlstate}{rule})"
