"""What errors of the database mean."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from asyncpg.exceptions import _base

from actors.pool.faults import Fault, classify, describe, spoils, translate
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, RowRejected, Unavailable


def _unknown(sqlstate: str) -> asyncpg.PostgresError:
    error = _base.UnknownPostgresError("?")
    error.sqlstate = sqlstate
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (asyncpg.UniqueViolationError("x"), Fault.ROW),
        (asyncpg.CheckViolationError("x"), Fault.ROW),
        (asyncpg.NumericValueOutOfRangeError("x"), Fault.ROW),
        (asyncpg.CharacterNotInRepertoireError("x"), Fault.ROW),
        (asyncpg.WithCheckOptionViolationError("x"), Fault.ROW),
        (asyncpg.RaiseError("x"), Fault.ROW),
        (asyncpg.ProgramLimitExceededError("x"), Fault.ROW),
        (_base.DataError("not an int"), Fault.ROW),
        (asyncpg.DeadlockDetectedError("x"), Fault.PASSING),
        (asyncpg.SerializationError("x"), Fault.PASSING),
        (asyncpg.LockNotAvailableError("x"), Fault.PASSING),
        (asyncpg.QueryCanceledError("x"), Fault.PASSING),
        (asyncpg.CannotConnectNowError("x"), Fault.PASSING),
        (asyncpg.TooManyConnectionsError("x"), Fault.PASSING),
        (asyncpg.DiskFullError("x"), Fault.PASSING),
        (asyncpg.ReadOnlySQLTransactionError("x"), Fault.PASSING),
        (asyncpg.ConnectionDoesNotExistError("x"), Fault.UNKNOWN),
        (asyncpg.ConnectionFailureError("x"), Fault.UNKNOWN),
        (asyncpg.AdminShutdownError("x"), Fault.UNKNOWN),
        (asyncpg.CrashShutdownError("x"), Fault.UNKNOWN),
        (asyncpg.IdleInTransactionSessionTimeoutError("x"), Fault.UNKNOWN),
        (asyncpg.StatementCompletionUnknownError("x"), Fault.UNKNOWN),
        (asyncpg.InternalClientError("x"), Fault.UNKNOWN),
        (ConnectionResetError(), Fault.UNKNOWN),
        (TimeoutError(), Fault.UNKNOWN),
        (asyncpg.UndefinedTableError("x"), Fault.DEFECT),
        (asyncpg.PostgresSyntaxError("x"), Fault.DEFECT),
        (_unknown("ZZ999"), Fault.DEFECT),
        (ValueError("x"), Fault.DEFECT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.name,
)
def test_an_error_is_classified_by_what_is_known_after_it(error: Exception, fault: Fault) -> None:
    """SQLSTATEs decide, and what asyncpg raises by itself."""
    assert classify(error, connected=True) is fault


def test_a_connection_found_closed_means_that_nothing_was_sent() -> None:
    """asyncpg says so before it sends; on an open connection it is a misuse."""
    error = asyncpg.InterfaceError("connection is closed")
    assert classify(error, connected=False) is Fault.PASSING
    assert classify(error, connected=True) is Fault.DEFECT


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError(), TimeoutError(), ConnectionResetError(), asyncpg.ReadOnlySQLTransactionError("x")],
)
def test_what_was_cut_short_spoils_its_connection(error: BaseException) -> None:
    """An answer may still be on its way, or the server is no longer the one to write to."""
    assert spoils(error)


@pytest.mark.parametrize(
    "error", [None, ValueError(), asyncpg.UniqueViolationError("x"), asyncpg.DeadlockDetectedError("x")]
)
def test_an_error_that_the_server_answered_with_spoils_nothing(error: BaseException | None) -> None:
    """The connection is ready for the next statement."""
    assert not spoils(error)


def test_a_translated_error_spoils_as_its_cause_does() -> None:
    """Translating does not hide that the connection was cut short."""
    ours = DeadlineExceeded("transaction")
    ours.__cause__ = TimeoutError()
    assert spoils(ours)
    assert not spoils(DeadlineExceeded("transaction"))


def test_a_row_s_error_names_the_constraint() -> None:
    """So that the caller can tell which rule it was."""
    error = asyncpg.UniqueViolationError("duplicate key value: Mustermann")
    error.constraint_name = "payments_pkey"
    ours = translate("begin", error, connected=True, applies=True)
    assert isinstance(ours, RowRejected)
    assert ours.args == ("begin", "23505", "payments_pkey")


def test_a_value_that_cannot_be_encoded_is_the_row_s_fault() -> None:
    """asyncpg found out before the server did."""
    ours = translate("begin", _base.DataError("value out of int32 range"), connected=True, applies=True)
    assert isinstance(ours, RowRejected)
    assert ours.args == ("begin", "22000", None)


@pytest.mark.parametrize(
    ("error", "applies", "expected"),
    [
        (asyncpg.ConnectionDoesNotExistError("x"), True, OutcomeUnknown),
        (asyncpg.ConnectionDoesNotExistError("x"), False, Unavailable),
        (TimeoutError(), True, OutcomeUnknown),
        (TimeoutError(), False, DeadlineExceeded),
        (asyncpg.DeadlockDetectedError("x"), True, Unavailable),
        (asyncpg.UndefinedTableError("x"), True, type(None)),
    ],
)
def test_what_the_caller_does_next_decides_the_error(error: Exception, applies: bool, expected: type) -> None:
    """Only what could have changed something can be unknown; a defect stays what it is."""
    assert type(translate("op", error, connected=True, applies=applies)) is expected


def test_a_description_holds_no_data() -> None:
    """The server's text may name a customer."""
    assert describe(asyncpg.UniqueViolationError("Key (name)=(Mustermann)")) == "UniqueViolationError 23505"
    assert describe(ConnectionResetError(104, "peer")) == "ConnectionResetError"
