"""Health: is the process alive, and can it take payments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from actors.pool.database import Database
from actors.runtime.errors import ActorError
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.problems import Code, Problem

_READY_WITHIN_S = 2.0


class Health(BaseModel):
    """That it is well."""

    status: Literal["ok"]


class HealthEndpoints:
    """Answers to everybody, and says no more than yes or no."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        answers = {200: Health}
        return (
            Operation("GET", "/health/live", self.live, "Is the process alive", "Health", answers=answers),
            Operation(
                "GET", "/health/ready", self.ready, "Can it take payments", "Health", answers=answers,
                problems=("overloaded",),
            ),
        )  # fmt: skip

    async def live(self, _: Call) -> Response:
        """Answer."""
        return json_response(200, {"status": "ok"})

    async def ready(self, _: Call) -> Response:
        """Answer once the database has."""
        try:
            await self._database.fetch("SELECT 1", timeout_s=_READY_WITHIN_S)
        except (ActorError, TimeoutError):
            raise Problem(Code.OVERLOADED, "The database is away.", retry_after_s=1) from None
        return json_response(200, {"status": "ok"})
