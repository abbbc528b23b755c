"""The group committer, on a server that answers by script."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, NamedTuple

import asyncpg
import pytest

from actors.pool import group as module
from actors.pool.connections import ConnectionPool
from actors.pool.group import GroupCommitter
from actors.pool.statement import BatchStatement
from actors.runtime.errors import OutcomeUnknown, Overloaded, RowRejected, Unavailable
from tests.unit.actors.pool.fakes import FakeServer, turns


class Row(NamedTuple):
    """A row of two columns."""

    id: int
    note: str


STATEMENT = BatchStatement[Row, str](name="store", sql="STORE", result=lambda record: record["note"], key=None)
BY_ID = BatchStatement[Row, str](
    name="store", sql="STORE", result=lambda record: record["note"], key=lambda row: row.id
)

Answer = Callable[[list[Row]], Any]


def echo(rows: list[Row]) -> list[dict[str, Any]]:
    """Answer each row with its note, last one first: results are told apart by ordinal."""
    answers = [{"ordinal": ordinal, "note": row.note} for ordinal, row in enumerate(rows, 1)]
    return answers[::-1]


class Script:
    """A server that answers batches one after the other, the last answer for ever, and remembers them."""

    def __init__(self, *answers: Answer | BaseException) -> None:
        self.server = FakeServer()
        self.server.answer = self._answer
        self.batches: list[list[Row]] = []
        self._answers = list(answers)

    def _answer(self, sql: str, args: tuple[Any, ...]) -> Any:
        assert sql == "STORE"
        rows = [Row(*values) for values in zip(*args, strict=True)]
        self.batches.append(rows)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(rows) if callable(answer) else answer


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.0)


@pytest.fixture
async def pools() -> AsyncIterator[list[ConnectionPool]]:
    """Close what a test opens."""
    pools: list[ConnectionPool] = []
    yield pools
    for pool in pools:
        await pool.close(grace_s=0)


Make = Callable[..., GroupCommitter[Row, str]]


@pytest.fixture
def make(pools: list[ConnectionPool]) -> Make:
    """Return a way to make a committer on a script."""

    def made(
        script: Script, statement: BatchStatement[Row, str] = STATEMENT, **options: Any
    ) -> GroupCommitter[Row, str]:
        pools.append(ConnectionPool(script.server.connect, size=2, waiters_max=options.pop("waiters_max", 100)))
        return GroupCommitter(pools[-1], statement, **options)

    return made


async def submit(committer: GroupCommitter[Row, str], *rows: Row) -> list[str | BaseException | None]:
    return await asyncio.gather(*(committer.submit(row) for row in rows), return_exceptions=True)


def rows(*ids: int) -> list[Row]:
    return [Row(each, f"n{each}") for each in ids]


def kinds(outcomes: list[Any]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


def unique_violation(constraint: str = "store_pkey") -> asyncpg.PostgresError:
    error = asyncpg.UniqueViolationError("duplicate key")
    error.constraint_name = constraint
    return error


def lost() -> asyncpg.PostgresError:
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


async def test_concurrent_rows_share_a_statement(make: Make) -> None:
    """One statement with an array for each column; each caller gets the result of its own row."""
    script = Script(echo)
    committer = make(script)
    assert await submit(committer, *rows(1, 2, 3)) == ["n1", "n2", "n3"]
    assert script.batches == [rows(1, 2, 3)]
    assert (committer.stats.rows, committer.stats.batches) == (3, 1)


async def test_a_row_that_the_statement_passes_over_is_none(make: Make) -> None:
    """Not every row has an answer, and none gets another's."""
    script = Script(lambda batch: [record for record in echo(batch) if record["ordinal"] == 2])
    assert await submit(make(script), *rows(1, 2, 3)) == [None, "n2", None]


async def test_rows_are_sorted_by_key_and_answered_in_their_own_order(make: Make) -> None:
    """Two batches lock in one order, so they cannot deadlock."""
    script = Script(echo)
    assert await submit(make(script, BY_ID), *rows(3, 1, 2)) == ["n3", "n1", "n2"]
    assert script.batches == [rows(1, 2, 3)]


async def test_rows_of_one_key_run_one_after_the_other(make: Make) -> None:
    """An update by arrays would apply only one of them."""
    script = Script(echo)
    outcomes = await submit(make(script, BY_ID), Row(1, "first"), Row(1, "second"), Row(2, "other"))
    assert outcomes == ["first", "second", "other"]
    assert script.batches == [[Row(1, "first"), Row(2, "other")], [Row(1, "second")]]


@pytest.mark.parametrize("bad", [0, 3, 6, 7])
async def test_a_bad_row_fails_alone(make: Make, bad: int) -> None:
    """Its batch is halved until only it fails, and the error names the constraint."""
    script = Script(lambda batch: unique_violation() if any(row.id == bad for row in batch) else echo(batch))
    outcomes = await submit(make(script), *rows(*range(8)))
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == [f"n{i}" for i in range(8) if i != bad]
    rejected = outcomes[bad]
    assert isinstance(rejected, RowRejected)
    assert rejected.args == ("store", "23505", "store_pkey")
    assert len(script.batches) == 1 + 2 * 3, "a bisection, not one statement for each row"


async def test_many_bad_rows_fail_alone(make: Make) -> None:
    """Every good row is stored, however many are bad."""
    script = Script(lambda batch: unique_violation() if any(row.id % 3 == 0 for row in batch) else echo(batch))
    committer = make(script, BY_ID)
    outcomes = await submit(committer, *rows(*range(9, -1, -1)))
    assert kinds(outcomes) == [RowRejected if i % 3 == 0 else str for i in range(9, -1, -1)]
    assert committer.stats.rejected == 4


@pytest.mark.parametrize(
    "error",
    [
        lost(),
        ConnectionResetError(),
        asyncpg.DeadlockDetectedError("x"),
        asyncpg.SerializationError("x"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_batch_that_met_bad_luck_runs_again_whole(make: Make, error: Exception) -> None:
    """Every row is repeatable, and none is split off."""
    script = Script(error, error, echo)
    committer = make(script)
    assert await submit(committer, *rows(1, 2)) == ["n1", "n2"]
    assert script.batches == [rows(1, 2)] * 3
    assert committer.stats.repeats == 2


async def test_a_lost_connection_is_not_used_again(make: Make) -> None:
    """The repeat runs on another one."""
    script = Script(lost(), echo)
    await submit(make(script), *rows(1))
    assert [len(connection.statements) for connection in script.server.connections] == [1, 1]


async def test_what_was_perhaps_sent_ends_unknown(make: Make) -> None:
    """When the time for repeats is over the caller must ask."""
    outcomes = await submit(make(Script(lost()), retry_s=0.01), *rows(1, 2))
    assert kinds(outcomes) == [OutcomeUnknown, OutcomeUnknown]
    assert "ConnectionDoesNotExistError" in str(outcomes[0])


async def test_a_read_that_was_perhaps_sent_did_nothing(make: Make) -> None:
    """A statement that does not write ends unavailable: the caller may simply repeat it."""
    outcomes = await submit(make(Script(lost()), replace(STATEMENT, writes=False), retry_s=0.01), *rows(1))
    assert kinds(outcomes) == [Unavailable]


async def test_a_read_that_was_lost_did_nothing(make: Make) -> None:
    """A statement that only reads is never of unknown outcome."""
    reads = dataclasses.replace(STATEMENT, writes=False)
    assert kinds(await submit(make(Script(lost()), reads, retry_s=0.01), *rows(1))) == [Unavailable]
    assert await submit(make(Script(lost(), echo), reads), *rows(1)) == ["n1"]


async def test_what_could_never_be_sent_ends_unavailable(make: Make) -> None:
    """No connection could be made on any try: nothing was done."""
    script = Script(echo)
    script.server.down = True
    assert kinds(await submit(make(script, retry_s=0.01), *rows(1, 2))) == [Unavailable, Unavailable]
    assert script.batches == []


async def test_one_perhaps_among_the_tries_is_enough(make: Make) -> None:
    """Later tries that did not get through do not undo an earlier one that may have."""
    script = Script(lost())
    committer = make(script, retry_s=0.05)
    first_try = script.server.answer

    def then_down(sql: str, args: tuple[Any, ...]) -> Any:
        script.server.down = True
        return first_try(sql, args)

    script.server.answer = then_down
    assert kinds(await submit(committer, *rows(1))) == [OutcomeUnknown]
    assert len(script.batches) == 1


async def test_conflicts_without_end_are_unavailable(make: Make) -> None:
    """The server rolled each of them back: nothing was done."""
    script = Script(asyncpg.DeadlockDetectedError("x"))
    assert kinds(await submit(make(script, retry_s=0.01), *rows(1))) == [Unavailable]


async def test_a_row_is_rejected_even_after_a_lost_try(make: Make) -> None:
    """The statement is repeatable: its last answer is the true one."""
    assert kinds(await submit(make(Script(lost(), unique_violation())), *rows(1))) == [RowRejected]


async def test_a_wrong_statement_is_not_repeated_or_split(make: Make) -> None:
    """Its error is for the programmer."""
    script = Script(asyncpg.UndefinedTableError("no such table"))
    assert kinds(await submit(make(script), *rows(1, 2))) == [asyncpg.UndefinedTableError] * 2
    assert len(script.batches) == 1


async def test_a_pool_without_room_is_overload(make: Make) -> None:
    """The bound on those who wait for a connection is told as what it is, at once."""
    script = Script(echo)
    script.server.may_connect.clear()
    committer = make(script, waiters_max=1, in_flight_max=2)
    first = asyncio.ensure_future(submit(committer, *rows(1)))
    await turns()
    assert kinds(await submit(committer, *rows(2))) == [Overloaded]
    script.server.may_connect.set()
    assert await first == ["n1"]


async def test_no_connection_within_the_time_for_repeats_is_overload(make: Make) -> None:
    """Nothing was sent."""
    script = Script(echo)
    script.server.may_connect.clear()
    assert kinds(await submit(make(script, retry_s=0.01), *rows(1))) == [Overloaded]


async def test_a_full_queue_is_overload(make: Make) -> None:
    """The bound of the committer itself."""
    script = Script(echo)
    script.server.may_connect.clear()
    committer = make(script, queue_max=1)
    outcomes = asyncio.ensure_future(submit(committer, *rows(1, 2)))
    await turns()
    script.server.may_connect.set()
    assert kinds(await outcomes) == [str, Overloaded]


async def test_more_rows_than_given_are_a_defect(make: Make) -> None:
    """A statement that breaks its promise is found out."""
    script = Script(lambda batch: echo(batch) * 2)
    assert kinds(await submit(make(script), *rows(1))) == [AssertionError]


async def test_drain_finishes_what_was_submitted(make: Make) -> None:
    """And refuses the rest."""
    committer = make(Script(echo))
    work = asyncio.ensure_future(submit(committer, *rows(1, 2)))
    await turns(2)
    await committer.drain()
    assert await work == ["n1", "n2"]
    assert kinds(await submit(committer, *rows(3))) == [Unavailable]
