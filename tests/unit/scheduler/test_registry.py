"""How functions become tasks, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mypy import api
from pydantic import BaseModel

from actors.scheduler.cron import Cron, Every
from actors.scheduler.definition import ARGUMENTS_MAX_BYTES, KEY_MAX, NAME_MAX
from actors.scheduler.registry import Kind, Registry, Run, TaskDefinition
from actors.scheduler.task import Priority

_ID = UUID(int=1)
_ROOT = Path(__file__).parents[3]


class Delivery(BaseModel):
    """Some arguments."""

    endpoint: str
    tries: int = 0


def _deliver(registry: Registry[None]) -> TaskDefinition[None, Delivery]:
    @registry.task("deliver", priority=Priority.HIGH, lane_width=3)
    async def deliver(run: Run[None], arguments: Delivery) -> None: ...

    return deliver


def test_a_definition_makes_the_row_that_enqueues_it() -> None:
    """And the arguments come back as they were."""
    deliver = _deliver(Registry())
    run_at = datetime(2025, 1, 1, tzinfo=UTC)
    row = deliver.new(Delivery(endpoint="we_1"), id=_ID, owner="m1", lane="we_1", unique_key="k", run_at=run_at)
    assert row[:6] == (_ID, "deliver", "m1", "we_1", "k", Priority.HIGH)
    assert json.loads(row.arguments) == {"endpoint": "we_1", "tries": 0}
    assert row.run_at == run_at
    assert deliver.parse(row.arguments) == Delivery(endpoint="we_1")
    assert deliver.new(Delivery(endpoint=""), id=_ID, priority=Priority.LOW).priority == Priority.LOW


def test_what_runs_where_takes_what_it_should() -> None:
    """A coroutine takes its run first; a function of the CPU its arguments alone; both may have none."""
    registry: Registry[None] = Registry()

    @registry.task("alone")
    async def alone(run: Run[None]) -> None: ...

    @registry.cpu_task("crunch")
    def crunch(numbers: list[int]) -> None: ...

    @registry.task("nightly", cron="0 3 * * *")
    async def nightly(run: Run[None], due_at: datetime) -> None: ...

    @registry.cpu_task("often", every_s=5.0)
    def often() -> None: ...

    assert [definition.name for definition in registry] == ["alone", "crunch", "nightly", "often"]
    assert (alone.kind, alone.takes_arguments, alone.new(None, id=_ID).arguments) == (Kind.IO, False, "null")
    assert (crunch.kind, crunch.parse("[1,2]")) == (Kind.CPU, [1, 2])
    assert nightly.schedule == Cron("0 3 * * *")
    assert nightly.parse(nightly.new(datetime(2025, 1, 1, tzinfo=UTC), id=_ID).arguments).year == 2025
    assert often.schedule == Every(5.0)
    assert registry.find("crunch") is crunch
    assert registry.find("nothing") is None


def test_wrong_arguments_are_named() -> None:
    """With the task and the field."""
    with pytest.raises(ValueError, match=r"deliver: tries: .*integer"):
        _deliver(Registry()).parse('{"endpoint": "a", "tries": "x"}')
    with pytest.raises(ValueError, match=r"deliver: arguments: "):
        _deliver(Registry()).parse("{")


def test_rows_are_bounded() -> None:
    """The error says what is too long."""
    deliver = _deliver(Registry())
    with pytest.raises(ValueError, match="arguments have"):
        deliver.new(Delivery(endpoint="x" * ARGUMENTS_MAX_BYTES), id=_ID)
    for field in ("owner", "lane", "unique_key"):
        with pytest.raises(ValueError, match=field):
            deliver.new(Delivery(endpoint=""), id=_ID, **{field: "x" * (KEY_MAX + 1)})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="time zone"):
        deliver.new(Delivery(endpoint=""), id=_ID, run_at=datetime(2025, 1, 1))


async def _fits(run: Run[None], arguments: int) -> None: ...


async def _takes_three(run: Run[None], first: int, second: int) -> None: ...


async def _takes_nothing() -> None: ...


async def _says_nothing(run, arguments) -> None: ...  # type: ignore[no-untyped-def]


def _plain(arguments: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "limits", "text"),
    [
        (_takes_three, {}, "the function takes run, first, second"),
        (_takes_nothing, {}, "the function takes nothing"),
        (_says_nothing, {}, "arguments has no annotation"),
        (_plain, {}, "a coroutine function is expected"),
        (_fits, {"every_s": 5.0}, "arguments of a function that runs by itself"),
        (_fits, {"cron": "* * * * *", "every_s": 5.0}, "cron and every_s"),
        (_fits, {"cron": "99 * * * *"}, r"a: cron '99 \* \* \* \*'"),
        (_fits, {"every_s": 0.0}, "every_s is 0.0"),
        (_fits, {"concurrency_max": 0}, "concurrency_max is 0"),
        (_fits, {"lane_width": 0}, "lane_width is 0"),
        (_fits, {"timeout_s": float("nan")}, "timeout_s is nan"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(function: Callable[..., Any], limits: Any, text: str) -> None:
    """When it is made, not when it runs."""
    registry: Registry[None] = Registry()
    with pytest.raises(ValueError, match=text):
        registry.task("a", **limits)(function)
    assert list(registry) == []


def test_names_are_unique_and_bounded() -> None:
    """They are keys in the table."""
    registry: Registry[None] = Registry()
    registry.task("a")(_fits)
    with pytest.raises(ValueError, match="a: there is a task of this name"):
        registry.task("a")(_fits)
    for name in ("", "x" * (NAME_MAX + 1)):
        with pytest.raises(ValueError, match="name"):
            registry.task(name)(_fits)


_SNIPPET = """
from datetime import datetime
from uuid import UUID
from actors.scheduler.registry import Registry, Run

registry: Registry[str] = Registry()

@registry.task("deliver")
async def deliver(run: Run[str], arguments: int) -> None:
    run.services.upper()

@registry.task("alone")
async def alone(run: Run[str]) -> None: ...

@registry.cpu_task("crunch")
def crunch(arguments: list[int]) -> None: ...

deliver.new(1, id=UUID(int=1))
alone.new(None, id=UUID(int=1))
crunch.new([1], id=UUID(int=1))
deliver.new("a", id=UUID(int=1))
alone.new(1, id=UUID(int=1))
crunch.new(["a"], id=UUID(int=1))

@registry.task("wrong", concurency_max=1)
async def wrong(run: Run[str]) -> None: ...

@registry.task("plain")
def plain(arguments: int) -> None: ...

@registry.task("other services")
async def other(run: Run[int]) -> None: ...
"""
_WRONG_LINES = [21, 22, 23, 25, 28, 31]


def test_wrong_arguments_and_functions_are_type_errors(tmp_path: Path) -> None:
    """What fits is none."""
    file = tmp_path / "snippet.py"
    file.write_text(_SNIPPET.lstrip())
    output, _, _ = api.run([str(file), "--strict", "--no-error-summary", "--cache-dir", str(_ROOT / ".mypy_cache")])
    found = {int(line.split(":")[1]) for line in output.splitlines() if ": error:" in line}
    assert sorted(found) == [line - 1 for line in _WRONG_LINES], output
