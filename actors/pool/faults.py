"""What an error of the database means for whoever ran the statement: the one place that reads SQLSTATEs.

Codes: PostgreSQL manual, appendix A.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto

import asyncpg

from actors.runtime.errors import ActorError, DeadlineExceeded, OutcomeUnknown, RowRejected, Unavailable

RESOURCE = "database"
# HTTP's Retry-After counts whole seconds; a restart of PostgreSQL takes one or two.
RETRY_AFTER_S = 1.0
NOT_LEASED = "no connection is leased to this process"
CLIENT_DATA_ERROR = "22000"
"""What a value that asyncpg itself could not encode is reported as: data_exception, as the server would say."""

# Data, constraint, WITH CHECK OPTION, and what a trigger raised: one of the rows is at fault.
_ROW_CLASSES = frozenset({"22", "23", "44", "P0"})
# An index entry, tuple or column list too large for the server's limits.
_ROW_CODES = frozenset({"54000"})
# The server rolled back and the same may succeed later: rollback, resources, lock and statement timeout, not yet or no
# longer writable, I/O error.
_PASSING_CLASSES = frozenset({"40", "53", "58"})
_PASSING_CODES = frozenset({"55P03", "57014", "57P03", "25006"})
# The server ended the session, perhaps after the commit.
_ENDED_CLASSES = frozenset({"08"})
_ENDED_CODES = frozenset({"57P01", "57P02", "57P04", "57P05", "25P03", "25P04", "40003"})

# The server or the way to it is at fault: connection lost, out of something, I/O error, a session that it ended or does
# not begin, a standby. A deadlock, a lock that was not had or a cancelled statement say nothing of the kind.
_ILL_CLASSES = frozenset({"08", "53", "58"})
_ILL_CODES = frozenset({"57P01", "57P02", "57P03", "57P04", "25006"})


DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All that asyncpg raises of its own. The last, of a session that the server ended at the moment it was used."""


class Sign(Enum):
    """What the end of a statement, or of the try for a connection, tells of the server."""

    WELL = auto()
    """It answered: also where it refused a row or rolled back."""
    ILL = auto()
    """It could not be reached, ended the session, or is out of something."""
    SILENT = auto()
    """Nothing came within the time."""
    NOTHING = auto()
    """It was our own doing."""


class Fault(Enum):
    """What is known after an error."""

    ROW = auto()
    """Nothing was applied, and one of the rows will never be accepted."""
    PASSING = auto()
    """Nothing was applied, and the same may succeed later."""
    UNKNOWN = auto()
    """It was sent, and perhaps applied."""
    DEFECT = auto()
    """Nothing was applied, and no repeat will help: the statement is wrong."""


def classify(error: BaseException, *, connected: bool) -> Fault:
    """Say what an error of one statement means; ``connected``: whether its connection is still open."""
    if isinstance(error, asyncpg.PostgresError):
        return _classify_sqlstate(error.sqlstate or "")
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg raises these before it sends: a value that it cannot encode, a connection found closed, a misuse.
        if isinstance(error, ValueError):
            return Fault.ROW
        return Fault.DEFECT if connected else Fault.PASSING
    if isinstance(error, OSError | asyncpg.InternalClientError):
        return Fault.UNKNOWN
    return Fault.DEFECT


def _classify_sqlstate(sqlstate: str) -> Fault:
    group = sqlstate[:2]
    if group in _ENDED_CLASSES or sqlstate in _ENDED_CODES:
        return Fault.UNKNOWN
    if group in _ROW_CLASSES or sqlstate in _ROW_CODES:
        return Fault.ROW
    if group in _PASSING_CLASSES or sqlstate in _PASSING_CODES:
        return Fault.PASSING
    return Fault.DEFECT


def tells(error: BaseException | None, *, connected: bool) -> Sign:
    """Say what the end of a statement tells of the server itself; None: it was answered."""
    if isinstance(error, ActorError):
        error = error.__cause__ or error
    if error is None:
        return Sign.WELL
    if isinstance(error, TimeoutError):
        return Sign.SILENT
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or ""
        is_ill = sqlstate[:2] in _ILL_CLASSES or sqlstate in _ILL_CODES
        return Sign.ILL if is_ill else Sign.WELL
    if isinstance(error, OSError | asyncpg.InternalClientError):
        return Sign.ILL
    if isinstance(error, asyncpg.InterfaceError) and not connected:
        return Sign.ILL
    return Sign.NOTHING


def spoils(error: BaseException | None) -> bool:
    """Say whether a connection must not be used again after this error left its user's hands."""
    if isinstance(error, ActorError):
        error = error.__cause__
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or ""
        # 25006: the server was demoted to a standby; another connection may find its successor.
        return sqlstate == "25006" or _classify_sqlstate(sqlstate) is Fault.UNKNOWN
    # Cut short: an answer may still be on its way, and it must not reach the next user.
    return isinstance(error, asyncio.CancelledError | OSError | asyncpg.InternalClientError)


def describe(error: BaseException) -> str:
    """Return the error's kind, without the server's text: that may hold data."""
    sqlstate = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} {sqlstate}" if sqlstate else type(error).__name__


def translate(operation: str, error: BaseException, *, connected: bool, applies: bool) -> ActorError | None:
    """Return what to raise in the place of a database error, None: the error itself.

    ``applies``: whether what ran could have changed something; if not, nothing is ever unknown.
    """
    fault = classify(error, connected=connected)
    if fault is Fault.DEFECT:
        return None
    if fault is Fault.ROW:
        sqlstate = getattr(error, "sqlstate", None) or CLIENT_DATA_ERROR
        return RowRejected(operation, sqlstate, getattr(error, "constraint_name", None))
    if fault is Fault.UNKNOWN and applies:
        return OutcomeUnknown(operation, describe(error))
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(operation)
    return Unavailable(RESOURCE, describe(error), RETRY_AFTER_S)
