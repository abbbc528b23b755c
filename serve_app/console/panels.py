"""The panels of the page: operations that there are anyway, each at its pace.

Whatever an operation answers is what its panel shows, and its problem is why the panel shows nothing. One that this
gateway does not have, such as the monitor's where there is no monitor, is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from serve_app.console.feed import Panel, Read, SourceAway
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response

SECONDS_SHOWN_ANEW = 3
"""Of the history, for pages that have the rest: two minutes of it are some 50 KB, each second."""
_REQUEST_ID = "operations-page"


class Shown(NamedTuple):
    """Which operation a panel shows, how often it is asked, and with which query."""

    panel: str
    path: str
    every_s: float
    query: Mapping[str, Any] = {}


PANELS = (
    Shown("overview", "/ops/api/overview", 1.0),
    Shown("alerts", "/ops/api/alerts", 1.0),
    Shown("breakers", "/ops/api/breakers", 2.0),
    Shown("cache", "/ops/api/cache", 2.0),
    Shown("pool", "/ops/api/database/pool", 2.0),
    Shown("tasks", "/ops/api/tasks", 2.0, {"state": "dead", "limit": 20}),
    Shown("webhooks", "/ops/api/webhooks", 10.0),
    Shown("database", "/ops/api/database", 10.0),
)


def panels_of(operations: Iterable[Operation], shown: Sequence[Shown] = PANELS) -> list[Panel]:
    """Return the panels, which read the operations of a GET."""
    by_path = {operation.path: operation for operation in operations if operation.method == "GET"}
    return [
        Panel(
            each.panel,
            each.every_s,
            _reader(by_path.get(each.path), each),
            brief_overview if each.panel == "overview" else lambda whole: whole,
        )
        for each in shown
    ]


def brief_overview(whole: bytes) -> bytes:
    """Return the overview with the last seconds of its history alone."""
    overview = from_json(whole)
    history = overview.get("history")
    if not isinstance(history, list):
        return whole
    return to_json({**overview, "history": history[-SECONDS_SHOWN_ANEW:], "is_brief": True})


def _reader(operation: Operation | None, shown: Shown) -> Read:
    if operation is None:
        return _missing
    query = None if operation.query is None else operation.query.model_validate(shown.query)

    async def read() -> bytes:
        answer = await operation.endpoint(Call("GET", shown.path, {}, _REQUEST_ID, query=query))
        assert isinstance(answer, Response), "a panel is a whole answer"
        return answer.body

    return read


async def _missing() -> bytes:
    raise SourceAway("This gateway has none.")
