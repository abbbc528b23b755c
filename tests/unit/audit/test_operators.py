"""What operators did is written down, also while the database is away."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import create_autospec
from uuid import UUID

import pytest

from actors.pool.database import Database
from actors.runtime.clock import ManualClock
from actors.runtime.errors import RowRejected, Unavailable
from serve_app.audit import operators
from serve_app.audit.operators import OperatorLog, audited
from serve_app.caching.changes import Changes
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.middleware.authentication import Caller
from serve_app.problems import Code, Problem

_CARD = "4242424242424242"


class Fixture:
    """A log on a database that a test takes away."""

    def __init__(self) -> None:
        self.is_away = False
        self.rejects: str | None = None
        self.written: list[tuple[Any, ...]] = []
        self.wrote = asyncio.Event()
        database = create_autospec(Database, instance=True)
        database.execute.side_effect = self._execute
        self.log = OperatorLog(database, Changes(None), ManualClock())

    async def _execute(self, _: str, *columns: list[Any]) -> str:
        if self.is_away:
            raise Unavailable("database", "away", 1.0)
        if self.rejects in columns[6]:
            raise RowRejected("put_operator_entries", "22021", None)
        self.written += zip(*columns, strict=True)
        self.wrote.set()
        return "INSERT"

    @property
    def actions(self) -> list[tuple[str, str, str]]:
        """What was done, to what, and with which result."""
        return [(entry[5], entry[6], entry[7]) for entry in self.written]


def _call(name: str = "redis") -> Call:
    call = Call("POST", "/ops/api/things/x", {"name": name}, "req_1")
    call.caller = Caller(UUID(int=5), UUID(int=6), True, frozenset({"admin"}), None)
    return call


def _operation(failure: Exception | None = None) -> Operation:
    async def endpoint(_: Call) -> Response:
        if failure is not None:
            raise failure
        return json_response(200, {})

    return Operation("POST", "/ops/api/things/{name}", endpoint, "Do", "Ops", "admin")


_ACTIONS = {"POST /ops/api/things/{name}": lambda call: ("thing.do", call.path_parameters["name"])}


async def test_each_action_is_written_with_who_did_it() -> None:
    """In the trail of the merchant whose key it was; a failure is one, too, and is still the caller's."""
    fixture = Fixture()
    done = audited(_operation(), _ACTIONS, fixture.log)
    assert isinstance(await done.endpoint(_call()), Response)
    failing = audited(_operation(Problem(Code.CONFLICT, "no")), _ACTIONS, fixture.log)
    with pytest.raises(Problem, match="no"):
        await failing.endpoint(_call())
    assert fixture.actions == [("thing.do", "redis", "succeeded"), ("thing.do", "redis", "failed")]
    merchant, _, livemode, key, request = fixture.written[0][:5]
    assert (merchant, livemode, key, request) == (UUID(int=6), True, UUID(int=5), "req_1")


def test_what_is_no_action_is_left_as_it_is() -> None:
    """It costs nothing."""
    operation = _operation()
    assert audited(operation, {}, Fixture().log) is operation


async def test_while_the_database_is_away_actions_are_done_and_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, in their order, when it is back."""
    monkeypatch.setattr(operators, "RETRY_EVERY_S", 0.001)
    fixture = Fixture()
    fixture.is_away = True
    for name in ("one", "two"):
        await fixture.log.note(_call(), "thing.do", name, "succeeded")
    assert fixture.actions == []
    fixture.is_away = False
    async with asyncio.timeout(5):
        await fixture.wrote.wait()
    await fixture.log.close()
    assert [name for _, name, _ in fixture.actions] == ["one", "two"]


async def test_what_waits_is_written_at_the_end_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are in the log of the process alone."""
    monkeypatch.setattr(operators, "WAITING_MAX", 2)
    fixture = Fixture()
    fixture.is_away = True
    for name in ("one", "two", "three"):
        await fixture.log.note(_call(), "thing.do", name, "succeeded")
    fixture.is_away = False
    await fixture.log.close()
    assert [name for _, name, _ in fixture.actions] == ["two", "three"]


async def test_an_entry_that_is_never_taken_keeps_no_other_from_being_written() -> None:
    """Else whoever can make one could hide what is done after it."""
    fixture = Fixture()
    fixture.rejects = "bad"
    fixture.is_away = True
    for name in ("one", "bad", "two"):
        await fixture.log.note(_call(), "thing.do", name, "succeeded")
    fixture.is_away = False
    await fixture.log.close()
    assert [name for _, name, _ in fixture.actions] == ["one", "two"]


async def test_what_a_client_wrote_is_shown_with_care() -> None:
    """A card number is not, and nothing endless."""
    fixture = Fixture()
    await fixture.log.note(_call(), "thing.do", _CARD, "failed")
    await fixture.log.note(_call(), "thing.do", "x" * 500, "failed")
    await fixture.log.note(_call(), "thing.do", "a\x00b", "failed")
    assert [name for _, name, _ in fixture.actions] == ["(hidden)", "x" * 100, "a\N{REPLACEMENT CHARACTER}b"]
