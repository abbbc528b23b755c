"""What operators and Prometheus see of tasks, and what operators may do with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import create_autospec
from uuid import UUID

import pytest

from actors.runtime.errors import Unavailable
from actors.scheduler.client import TaskQueue, TaskSchedulerClient
from actors.scheduler.status import NameCounts, SchedulerStatus, WorkerStatus
from actors.scheduler.table import TaskTable
from actors.scheduler.task import TaskState
from actors.scheduler.views import TaskView
from serve_app.domain.errors import NotFound
from serve_app.http.operation import Call
from serve_app.ops.exposition import exposition
from serve_app.ops.task_metrics import task_families
from serve_app.ops.tasks import ListTasks, Task, TaskEndpoints, Tasks
from serve_app.problems import Code, Problem

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_ID = UUID(int=7)


def _view(state: TaskState = TaskState.DEAD, task_id: UUID = _ID) -> TaskView:
    finished_at = None if state is TaskState.PENDING else _AT
    progress = '{"done": 1, "total": 2, "text": "half"}'
    return TaskView(
        task_id, "name", "mer_1", "lane", None, 1, '{"a":1}', _AT, state, 3, 1, "why", progress, _AT, finished_at
    )


def _status() -> SchedulerStatus:
    counts = NameCounts({"succeeded": 2, "failed": 1})
    counts.wait_s.record(0.003)
    return SchedulerStatus(4, (1, 0, 5, 0), 2, 3, (WorkerStatus("task-worker-0", True, 3),), {"name": counts})


class Fixture:
    """Endpoints on a table with one task."""

    def __init__(self, view: TaskView | None) -> None:
        self.table = create_autospec(TaskTable, instance=True)
        self.table.find.return_value = view
        self.table.page.return_value = [] if view is None else [view, _view(task_id=UUID(int=6))]
        self.table.redrive.return_value = {_ID}
        self.queue = create_autospec(TaskQueue, instance=True)
        self.scheduler = create_autospec(TaskSchedulerClient, instance=True)
        self.scheduler.status.return_value = _status()
        self.endpoints = TaskEndpoints(self.table, self.queue, self.scheduler)


def _call(task_id: str = str(_ID), query: ListTasks | None = None) -> Call:
    call = Call("GET", "/ops/api/tasks", {"task_id": task_id}, "req_1")
    call.query = query
    return call


async def test_a_page_shows_tasks_and_the_scheduler() -> None:
    """In the form that is documented; there is more where one more than asked for was found."""
    fixture = Fixture(_view())
    answer = json.loads((await fixture.endpoints.page(_call(query=ListTasks(limit=1, state="dead")))).body)
    Tasks.model_validate(answer)
    assert answer["has_more"]
    assert [task["id"] for task in answer["data"]] == [str(_ID)]
    assert answer["scheduler"]["waiting"] == {"critical": 1, "high": 0, "normal": 5, "low": 0}
    assert fixture.table.page.await_args.kwargs["state"] is TaskState.DEAD


async def test_without_the_scheduler_tasks_are_shown_all_the_same() -> None:
    """They are in the table."""
    fixture = Fixture(_view())
    fixture.scheduler.status.side_effect = Unavailable("scheduler", "away", 1.0)
    answer = json.loads((await fixture.endpoints.page(_call(query=ListTasks()))).body)
    assert answer["scheduler"] is None
    assert len(answer["data"]) == 2


async def test_a_page_after_something_else_is_refused() -> None:
    """The field is named."""
    with pytest.raises(Problem) as refused:
        await Fixture(_view()).endpoints.page(_call(query=ListTasks(starting_after="x")))
    assert refused.value.code is Code.VALIDATION_FAILED


async def test_a_task_is_shown() -> None:
    """Arguments and progress as JSON; no such task is a 404."""
    answer = json.loads((await Fixture(_view()).endpoints.show(_call())).body)
    Task.model_validate(answer)
    assert (answer["arguments"], answer["progress"]["done"], answer["priority"]) == ({"a": 1}, 1, "high")
    for task_id in ("x", str(_ID)):
        with pytest.raises(NotFound):
            await Fixture(None).endpoints.show(_call(task_id))


async def test_a_dead_task_is_run_again() -> None:
    """And the scheduler is told; what is not dead, or has a successor of its unique key, is a conflict."""
    fixture = Fixture(_view())
    assert (await fixture.endpoints.retry(_call())).status == 200
    fixture.queue.poke.assert_called_once()
    fixture.table.redrive.return_value = set()
    for refusing in (fixture, Fixture(_view(TaskState.SUCCEEDED))):
        with pytest.raises(Problem) as refused:
            await refusing.endpoints.retry(_call())
        assert refused.value.code is Code.CONFLICT


async def test_a_pending_task_is_cancelled() -> None:
    """By the scheduler, which has to answer; what has ended is a conflict."""
    fixture = Fixture(_view(TaskState.PENDING))
    assert (await fixture.endpoints.cancel(_call())).status == 202
    fixture.scheduler.cancel.assert_awaited_once_with(_ID)
    fixture.scheduler.cancel.side_effect = Unavailable("scheduler", "away", 1.0)
    for refusing, code in ((fixture, Code.OVERLOADED), (Fixture(_view()), Code.CONFLICT)):
        with pytest.raises(Problem) as refused:
            await refusing.endpoints.cancel(_call())
        assert refused.value.code is code


def test_metrics_are_of_the_scheduler() -> None:
    """Depth by priority, runs by name and outcome, and how long they waited; without it one series says so."""
    text = exposition(task_families(_status())).decode()
    for line in (
        'easypay_tasks_waiting{priority="normal"} 5.0',
        "easypay_tasks_running 3.0",
        'easypay_tasks_runs_total{name="name",outcome="failed"} 1.0',
        'easypay_tasks_wait_seconds_bucket{le="0.005",name="name"} 1.0',
        'easypay_task_worker_up{worker="task-worker-0"} 1.0',
        "easypay_task_scheduler_up 1.0",
    ):
        assert line in text
    assert "easypay_task_scheduler_up 0.0" in exposition(task_families(None)).decode()
    assert "easypay_tasks" not in exposition(task_families(None)).decode()
