"""What those who watch are told."""

from __future__ import annotations

import asyncio
import json

import pytest
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from actors.runtime.errors import Overloaded, Unavailable
from serve_app.console.feed import Event, Feed, Panel, Watcher
from serve_app.console.panels import SECONDS_SHOWN_ANEW, Shown, brief_overview, panels_of
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.problems import Code, Problem, problem_of


class Source:
    """A panel's source that a test steers; each read is waited for."""

    def __init__(self) -> None:
        self.answer: bytes | Exception = b'"first"'
        self.reads = 0
        self.asked = asyncio.Event()

    async def read(self) -> bytes:
        """Return the answer, or raise it."""
        self.reads += 1
        self.asked.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def panel(self, name: str = "thing", every_s: float = 0.001) -> Panel:
        """Return the panel."""
        return Panel(name, every_s, self.read, lambda whole: b"brief " + whole)


async def _next(watcher: Watcher) -> list[Event]:
    async with asyncio.timeout(5):
        await watcher.news.wait()
    return watcher.take()


async def test_who_watches_is_told_the_whole_once_and_then_what_is_new() -> None:
    """What has not changed is not told again."""
    source = Source()
    feed = Feed([source.panel()])
    watcher = feed.join()
    assert await _next(watcher) == [Event("thing", b'"first"')]
    reads = source.reads
    while source.reads < reads + 3:
        await asyncio.sleep(0.001)
    assert not watcher.news.is_set()
    source.answer = b'"second"'
    assert await _next(watcher) == [Event("thing", b'brief "second"')]
    feed.leave(watcher)


async def test_all_who_watch_share_the_reads_and_nobody_reads_for_nobody() -> None:
    """A newcomer is told at once what is known."""
    source = Source()
    feed = Feed([source.panel(every_s=60)])
    assert source.reads == 0
    first = feed.join()
    await _next(first)
    second = feed.join()
    assert await _next(second) == [Event("thing", b'"first"')]
    assert (source.reads, feed.watchers) == (1, 2)
    feed.leave(first)
    feed.leave(second)
    third = feed.join()
    assert await _next(third) == [Event("thing", b'"first"')]
    assert source.reads == 2
    feed.leave(third)


async def test_who_does_not_keep_up_gets_the_newest_alone() -> None:
    """And the whole of it, for the part before was never told."""
    source = Source()
    feed = Feed([source.panel()])
    watcher = feed.join()
    async with asyncio.timeout(5):
        await watcher.news.wait()
    for number in range(3):
        source.answer = b"%d" % number
        while watcher.pending["thing"].data != b"%d" % number:
            await asyncio.sleep(0.001)
    assert watcher.take() == [Event("thing", b"2")]
    feed.leave(watcher)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Problem(Code.OVERLOADED, "Not now."), "Not now."),
        (Unavailable("database", "away", 1.0), problem_of(Unavailable("database", "away", 1.0)).detail),
        (RuntimeError("secret"), "It cannot be read; the gateway's log says why."),
    ],
)
async def test_a_source_that_is_away_is_told_and_comes_back(failure: Exception, reason: str) -> None:
    """With the whole; the other panels go on."""
    source, other = Source(), Source()
    feed = Feed([source.panel(), other.panel("other")])
    watcher = feed.join()
    told: list[Event] = []
    while len(told) < 2:
        told += await _next(watcher)
    source.answer = failure
    (away,) = await _next(watcher)
    assert (away.name, json.loads(away.data)) == ("away", {"panel": "thing", "reason": reason})
    other.answer = b"7"
    assert await _next(watcher) == [Event("other", b"brief 7")]
    source.answer = b'"first"'
    assert await _next(watcher) == [Event("thing", b'"first"')]
    feed.leave(watcher)


async def test_there_are_only_so_many() -> None:
    """The next is told to come again."""
    feed = Feed([], watchers_max=2)
    watchers = [feed.join() for _ in range(2)]
    with pytest.raises(Overloaded):
        feed.join()
    feed.leave(watchers[0])
    feed.leave(feed.join())


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: str


async def test_panels_are_operations_that_there_are() -> None:
    """Asked with their query; one that is missing is away, and says so."""
    asked: list[Call] = []

    async def endpoint(call: Call) -> Response:
        asked.append(call)
        return json_response(200, {"tasks": 1})

    declared = [Operation("GET", "/ops/api/tasks", endpoint, "See", "Ops", "admin", query=_Query)]
    shown = (Shown("tasks", "/ops/api/tasks", 1.0, {"state": "dead"}), Shown("overview", "/ops/api/overview", 1.0))
    tasks, overview = panels_of(declared, shown)
    assert await tasks.read() == b'{"tasks":1}'
    assert asked[0].query_as(_Query).state == "dead"
    feed = Feed([overview])
    watcher = feed.join()
    (away,) = await _next(watcher)
    assert json.loads(away.data) == {"panel": "overview", "reason": "This gateway has none."}
    feed.leave(watcher)


def test_the_overview_is_told_without_what_is_known() -> None:
    """The last seconds alone, and that they are not all."""
    whole = {"at": "now", "history": [{"at": second} for second in range(120)]}
    brief = json.loads(brief_overview(to_json(whole)))
    assert [second["at"] for second in brief["history"]] == list(range(120 - SECONDS_SHOWN_ANEW, 120))
    assert brief["is_brief"]
    assert json.loads(brief_overview(b'{"at":"now"}')) == {"at": "now"}
