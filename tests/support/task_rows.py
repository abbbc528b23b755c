"""Tasks as rows: runs what is due with the functions of the registry, in place of a scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from actors.scheduler.registry import Run
from actors.scheduler.retry import Retry
from serve_app.services import Services
from serve_app.tasks.registry import registry


@dataclass(frozen=True)
class Ran:
    """A task that ran: its name, and the pause it asked for, where it is to run again."""

    name: str
    lane: str | None
    again_after_s: float | None


async def run_tasks(services: Services, owner: UUID) -> list[Ran]:
    """Run each pending task of an owner once, until none is left that did not ask to be run again."""
    ran: list[Ran] = []
    seen: set[UUID] = set()
    while True:
        sql = "SELECT id, name, lane, arguments FROM tasks WHERE owner = $1 AND state = 'pending' ORDER BY id"
        rows = [row for row in await services.database.fetch(sql, str(owner)) if row["id"] not in seen]
        if not rows:
            return ran
        for row in rows:
            seen.add(row["id"])
            again_after_s = await _run(services, row["id"], row["name"], row["arguments"])
            ran.append(Ran(row["name"], row["lane"], again_after_s))


async def _run(services: Services, task_id: UUID, name: str, arguments: str) -> float | None:
    definition = registry.find(name)
    assert definition is not None, f"nothing is registered as {name}"
    run = Run(task_id, 1, services, lambda *_: None)
    try:
        await definition.function(run, definition.parse(arguments))
    except Retry as again:
        return again.after_s
    await services.database.execute("UPDATE tasks SET state = 'succeeded', finished_at = now() WHERE id = $1", task_id)
    return None
