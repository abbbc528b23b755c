"""The database for operators: how it stands, what was done about it, by whom and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

from actors.optimizer.client import QueryOptimizerClient
from actors.pool.database import Database
from actors.pool.statements import load_statements
from actors.runtime.errors import ActorError
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.maintenance.service import DatabaseMaintenance
from serve_app.merchants.secrets import Scope
from serve_app.ops.database_maintenance import JOURNAL_SHOWN, shown
from serve_app.ops.database_maintenance import DatabaseMaintenance as Maintenance
from serve_app.ops.database_optimizer import Optimizer, OptimizerEntry, shown_entry, shown_optimizer

_ENTRIES_MAX = 50
_LAST_ID = (1 << 63) - 1


class DatabaseState(BaseModel):
    """The database as those who look after it see it."""

    optimizer: Annotated[Optimizer | None, Field(description="Null where it is off or does not answer.")]
    optimizer_journal: Annotated[list[OptimizerEntry], Field(description="What it did, the newest first.")]
    maintenance: Maintenance


class DatabaseEndpoints:
    """Shows the database."""

    def __init__(self, database: Database, optimizer: QueryOptimizerClient, maintenance: DatabaseMaintenance) -> None:
        self._database = database
        self._optimizer = optimizer
        self._maintenance = maintenance

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "GET", "/ops/api/database", self.show, "See how the database is looked after", "Operations",
                Scope.ADMIN.value, answers={200: DatabaseState}, problems=("overloaded",),
            ),
        )  # fmt: skip

    async def show(self, _: Call) -> Response:
        """Show it."""
        entries = await self._database.fetch(load_statements("actors.optimizer")["entries"], _LAST_ID, _ENTRIES_MAX)
        state = {
            "optimizer": await self._of_optimizer(),
            "optimizer_journal": [shown_entry(dict(entry)) for entry in entries],
            "maintenance": shown(await self._maintenance.standing(JOURNAL_SHOWN)),
        }
        return json_response(200, state)

    async def _of_optimizer(self) -> dict[str, Any] | None:
        try:
            return shown_optimizer(await self._optimizer.state())
        except ActorError:
            # The journal is in the table all the same; that it does not answer is what the null says.
            return None
