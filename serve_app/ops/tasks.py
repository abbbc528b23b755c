"""Tasks for operators: what waits, runs, has ended or is dead; to have one run again, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from actors.runtime.errors import ActorError
from actors.scheduler.client import TaskQueue, TaskSchedulerClient
from actors.scheduler.status import SchedulerStatus
from actors.scheduler.table import LAST_ID, TaskTable
from actors.scheduler.task import Priority, TaskState
from actors.scheduler.views import TaskView
from serve_app.domain.errors import NotFound
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.problems import Code, Problem, invalid

_PATH = "/ops/api/tasks"
_TAG = "Operations"

PriorityName = Literal["critical", "high", "normal", "low"]
State = Literal["pending", "succeeded", "dead", "cancelled"]


class ListTasks(BaseModel):
    """Which tasks to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: State | None = None
    name: Annotated[str | None, Field(max_length=100, description="Of this function alone.")] = None
    limit: int = Field(default=20, ge=1, le=100)
    starting_after: str | None = Field(default=None, description="The id of the last task of the page before.")


class TaskProgress(BaseModel):
    """How far a task is, by its own word."""

    done: int
    total: int
    text: str


class Task(BaseModel):
    """One task."""

    id: str
    name: str
    owner: Annotated[str, Field(description="For whom it runs, such as a merchant.")]
    lane: Annotated[str | None, Field(description="Tasks of one lane run one after the other.")]
    unique_key: Annotated[str | None, Field(description="One of that name and key is pending at a time.")]
    priority: PriorityName
    state: State
    arguments: Annotated[Any, Field(description="What the function is called with.")]
    attempts: Annotated[int, Field(description="Runs that failed.")]
    orphaned: Annotated[int, Field(description="Runs whose process was lost.")]
    error: Annotated[str | None, Field(description="Why it failed the last time, or is dead.")]
    progress: TaskProgress | None
    run_at: datetime
    created_at: datetime
    finished_at: datetime | None


class TaskWorker(BaseModel):
    """A process that runs tasks."""

    name: str
    connected: bool
    running: int


class Scheduler(BaseModel):
    """The scheduler as it is now; null where it does not answer."""

    epoch: Annotated[int | None, Field(description="Null while it does not own the queue.")]
    waiting: Annotated[dict[PriorityName, int], Field(description="What is due and waits.")]
    delayed: Annotated[int, Field(description="What is due soon.")]
    running: int
    workers: list[TaskWorker]


class Tasks(BaseModel):
    """Tasks, newest first, and the scheduler."""

    scheduler: Scheduler | None
    data: list[Task]
    has_more: bool


class TaskEndpoints:
    """Shows and steers tasks."""

    def __init__(self, table: TaskTable, queue: TaskQueue, scheduler: TaskSchedulerClient) -> None:
        self._table = table
        self._queue = queue
        self._scheduler = scheduler

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        admin = Scope.ADMIN.value
        return (
            Operation(
                "GET", _PATH, self.page, "See the tasks", _TAG, admin,
                query=ListTasks, answers={200: Tasks}, problems=("overloaded",),
            ),
            Operation(
                "GET", f"{_PATH}/{{task_id}}", self.show, "See a task", _TAG, admin,
                answers={200: Task}, problems=("not_found", "overloaded"),
            ),
            Operation(
                "POST", f"{_PATH}/{{task_id}}/retry", self.retry, "Have a dead task run again", _TAG, admin,
                answers={200: Task}, problems=("not_found", "conflict", "overloaded"), sensitive=True,
            ),
            Operation(
                "POST", f"{_PATH}/{{task_id}}/cancel", self.cancel, "Have a task not run, or end", _TAG, admin,
                answers={202: Task}, problems=("not_found", "conflict", "overloaded"), sensitive=True,
            ),
        )  # fmt: skip

    async def page(self, call: Call) -> Response:
        """List tasks."""
        query = call.query_as(ListTasks)
        before = LAST_ID if query.starting_after is None else _parsed(query.starting_after)
        if before is None:
            raise invalid([("starting_after", "must be the id of a task")])
        state = None if query.state is None else TaskState(query.state)
        views = await self._table.page(state=state, name=query.name, before=before, limit=query.limit + 1)
        return json_response(
            200,
            {
                "scheduler": await self._status(),
                "data": [_shown(view) for view in views[: query.limit]],
                "has_more": len(views) > query.limit,
            },
        )

    async def show(self, call: Call) -> Response:
        """Show one."""
        return json_response(200, _shown(await self._found(call)))

    async def retry(self, call: Call) -> Response:
        """Redrive one."""
        view = await self._found(call)
        if view.state is not TaskState.DEAD:
            raise Problem(Code.CONFLICT, f"The task is {view.state.value}; only dead ones are run again.")
        if not await self._table.redrive([view.id]):
            raise Problem(Code.CONFLICT, "Another task with its unique key is pending, or it runs again already.")
        self._queue.poke()
        return json_response(200, _shown(await self._found(call)))

    async def cancel(self, call: Call) -> Response:
        """Cancel one; what runs is told to end, which its function may take some time for."""
        view = await self._found(call)
        if view.state is not TaskState.PENDING:
            raise Problem(Code.CONFLICT, f"The task is {view.state.value}; only pending ones are cancelled.")
        try:
            await self._scheduler.cancel(view.id)
        except ActorError as fault:
            raise Problem(Code.OVERLOADED, f"The scheduler does not answer: {fault}.", retry_after_s=1) from None
        return json_response(202, _shown(await self._found(call)))

    async def _found(self, call: Call) -> TaskView:
        task_id = _parsed(call.path_parameters["task_id"])
        view = None if task_id is None else await self._table.find(task_id)
        if view is None:
            raise NotFound("task", "of that id")
        return view

    async def _status(self) -> dict[str, Any] | None:
        try:
            return _scheduler(await self._scheduler.status())
        except ActorError:
            # The tasks are in the table all the same; that it does not answer is what the null says.
            return None


def _parsed(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _shown(view: TaskView) -> dict[str, Any]:
    return {
        **view._asdict(),
        "id": str(view.id),
        "priority": Priority(view.priority).name.lower(),
        "state": view.state.value,
        "arguments": from_json(view.arguments),
        "progress": None if view.progress is None else from_json(view.progress),
    }


def _scheduler(status: SchedulerStatus) -> dict[str, Any]:
    return {
        "epoch": status.epoch,
        "waiting": {priority.name.lower(): status.waiting[priority] for priority in Priority},
        "delayed": status.delayed,
        "running": status.running,
        "workers": [
            {"name": each.name, "connected": each.is_connected, "running": each.running} for each in status.workers
        ],
    }
