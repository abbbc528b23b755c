"""The acquirer's ledger on disk: the books' shelf in SQLite, changed one committed batch at a time.

SQLite in WAL mode with `synchronous=FULL`: what `apply` returned survives the death of the process and of the
machine. A batch is one transaction, so the cost of the flush is shared and a failed batch leaves nothing
behind. The connection is confined to whichever single thread uses it, and locks the file against a second
acquirer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.books import AcquirerBooks, Charge, Entry
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Definite,
    Failed,
    ProcessorRequest,
    Refused,
    Unknown,
)
from serve_app.processors.wire import answer_of, encode_answer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    sequence INTEGER PRIMARY KEY,
    attempt_id TEXT NOT NULL UNIQUE,
    kind TEXT, amount_minor INTEGER, currency TEXT, token TEXT, capture INTEGER, reference TEXT,
    result TEXT NOT NULL,
    moved_minor INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS charges (
    reference TEXT PRIMARY KEY,
    currency TEXT NOT NULL,
    authorized_minor INTEGER NOT NULL,
    captured_minor INTEGER NOT NULL,
    released_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_COLUMNS = "attempt_id, kind, amount_minor, currency, token, capture, reference, result, moved_minor"
_ENTRY = f"SELECT {_COLUMNS} FROM entries WHERE attempt_id = ?"
_ADD_ENTRY = f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PAGE = f"SELECT sequence, {_COLUMNS} FROM entries WHERE sequence > ? ORDER BY sequence LIMIT ?"
_MOVES = "moved_minor > 0 AND (kind IN ('capture', 'refund') OR (kind = 'authorize' AND capture = 1))"
_MOVED = f"""
SELECT sequence, {_COLUMNS} FROM entries
WHERE sequence > ? AND sequence <= ? AND {_MOVES} ORDER BY sequence LIMIT ?
"""
_LAST = "SELECT coalesce(max(sequence), 0) FROM entries"
_CHARGE = "SELECT * FROM charges WHERE reference = ?"
_PUT_CHARGE = "INSERT OR REPLACE INTO charges VALUES (?, ?, ?, ?, ?, ?)"
_TOTALS = """
SELECT currency, count(*),
       sum(authorized_minor), sum(captured_minor), sum(released_minor), sum(refunded_minor)
FROM charges GROUP BY currency ORDER BY currency
"""


@dataclass(frozen=True, slots=True)
class Perform:
    """Ask for an operation to be performed."""

    request: ProcessorRequest


@dataclass(frozen=True, slots=True)
class Refuse:
    """Ask for an attempt id to be forbidden."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class Find:
    """Ask what is recorded under an attempt id."""

    attempt_id: str


Command = Perform | Refuse | Find
Reply = Approved | Declined | Failed | Unknown | Refused | Entry | None


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Sum up the charges of one currency."""

    charges: int
    authorized_minor: int
    captured_minor: int
    released_minor: int
    refunded_minor: int


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Hold entries with their sequence, in the order of commits, and the totals of the whole ledger."""

    entries: list[tuple[int, Entry]]
    has_more: bool
    totals: dict[str, LedgerTotals]


class SqliteShelf:
    """Keep the books' entries and charges in tables; commits nothing by itself."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def entry(self, attempt_id: str) -> Entry | None:
        row = self._connection.execute(_ENTRY, (attempt_id,)).fetchone()
        return None if row is None else _entry(row)

    def charge(self, reference: str) -> Charge | None:
        row = self._connection.execute(_CHARGE, (reference,)).fetchone()
        return None if row is None else Charge(*row)

    def add_entry(self, entry: Entry) -> None:
        self._connection.execute(_ADD_ENTRY, _entry_row(entry))

    def put_charge(self, charge: Charge) -> None:
        row = (
            charge.reference,
            charge.currency,
            charge.authorized_minor,
            charge.captured_minor,
            charge.released_minor,
            charge.refunded_minor,
        )
        self._connection.execute(_PUT_CHARGE, row)


class Ledger:
    """Apply commands to the books on disk. Not thread-safe: one caller at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the ledger; raises `sqlite3.OperationalError` where another process holds it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)
        self._books = AcquirerBooks(SqliteShelf(self._connection), knows_all=True)

    def apply(self, commands: Sequence[Command]) -> list[Reply]:
        """Carry out the commands in order and commit; the replies are in the same order.

        After an exception nothing of the batch was done.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            replies = [self._carry_out(command) for command in commands]
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return replies

    def page(self, after: int, limit: int) -> LedgerPage:
        """Return up to `limit` entries with a sequence above `after`, oldest first, and the totals."""
        rows = self._connection.execute(_PAGE, (after, limit + 1)).fetchall()
        totals = {row[0]: LedgerTotals(*row[1:]) for row in self._connection.execute(_TOTALS)}
        return LedgerPage([(row[0], _entry(row[1:])) for row in rows[:limit]], len(rows) > limit, totals)

    def last_sequence(self) -> int:
        """Return the sequence of the newest entry, 0 where there is none."""
        sequence: int = self._connection.execute(_LAST).fetchone()[0]
        return sequence

    def moved(self, after: int, until: int, limit: int) -> list[tuple[int, Entry]]:
        """Return up to `limit` entries that took or gave back money, of the sequences above `after` up to `until`."""
        return [(row[0], _entry(row[1:])) for row in self._connection.execute(_MOVED, (after, until, limit))]

    def close(self) -> None:
        self._connection.close()

    def _carry_out(self, command: Command) -> Reply:
        match command:
            case Perform(request):
                return self._books.perform(request)
            case Refuse(attempt_id):
                return self._books.refuse(attempt_id)
            case Find(attempt_id):
                return self._books.find(attempt_id)


def _entry(row: Sequence[Any]) -> Entry:
    attempt_id, kind, amount_minor, currency, token, capture, reference, result, moved_minor = row
    request = None
    if kind is not None:
        request = ProcessorRequest(
            attempt_id, AttemptKind(kind), amount_minor, currency, token, bool(capture), reference
        )
    return Entry(attempt_id, request, _result(result), moved_minor)


def _result(text: str) -> Definite | Refused:
    answer = answer_of(json.loads(text))
    assert isinstance(answer, Approved | Declined | Failed | Refused), text
    return answer


def _entry_row(entry: Entry) -> tuple[object, ...]:
    result = json.dumps(encode_answer(entry.result))
    request = entry.request
    if request is None:
        return (entry.attempt_id, None, None, None, None, None, None, result, entry.moved_minor)
    return (
        entry.attempt_id,
        request.kind.value,
        request.amount_minor,
        request.currency,
        request.token,
        int(request.capture),
        request.reference,
        result,
        entry.moved_minor,
    )
