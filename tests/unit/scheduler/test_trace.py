"""A task belongs to the trace of whoever enqueued it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from pydantic import TypeAdapter

from actors.runtime.traceparent import TraceParent
from actors.runtime.tracing import child
from actors.scheduler.definition import Kind, TaskDefinition
from actors.scheduler.effects import RunEnd
from actors.scheduler.lifecycle import Outcome
from actors.scheduler.messages import Order
from actors.scheduler.registry import Registry, Run
from actors.scheduler.retry import Retry
from actors.scheduler.trace import CONTINUES_S
from actors.scheduler.worker import Worker
from tests.support.spans import Spans, id_of, parent_id

NOW = 1_000_000.0
ORIGIN = TraceParent(7, 9, True)
registry: Registry[None] = Registry()


@registry.task("deliver")
async def deliver(_run: Run[None]) -> None:
    """Work under a span of its own."""
    with child("work"):
        await asyncio.sleep(0)


@registry.task("fail")
async def fail(_run: Run[None]) -> None:
    """Ask to be run again, for a reason that is nobody's business."""
    raise Retry("4242424242424242", after_s=1.0)


async def _no_process(*_: object) -> None:
    raise AssertionError("there are no CPU tasks")


async def run(spans: Spans | None, *orders: Order) -> Sequence[RunEnd]:
    """Have a worker run tasks to their ends."""
    worker = Worker(
        registry,
        None,
        rooms={Kind.IO: 10},
        run_in_process=_no_process,
        now=lambda: NOW,
        tracer=spans.tracer if spans is not None else None,
    )
    session = worker.join(1).session
    worker.begin(session, UUID(int=1), orders)
    while worker.running:
        await asyncio.sleep(0)
    return (await worker.reports(session, 0, [])).ends


def order(name: str = "deliver", *, attempt: int = 1, run_at: float = NOW, trace: str | None = None) -> Order:
    """Return an order."""
    return Order(UUID(int=1), name, "null", attempt, run_at, trace)


def test_a_task_that_traced_work_enqueues_keeps_its_span() -> None:
    """And what is not traced keeps none."""
    definition: TaskDefinition[None, None] = TaskDefinition("deliver", deliver.function, TypeAdapter(None))
    spans = Spans()
    with spans.request():
        traced = definition.new(None, id=UUID(int=1))
    untraced = definition.new(None, id=UUID(int=2))
    request = spans.ended["request"].get_span_context()
    assert request is not None
    assert traced.trace == TraceParent(request.trace_id, request.span_id, True).encode()
    assert untraced.trace is None


async def test_the_first_run_goes_on_with_the_trace() -> None:
    """As a child of what enqueued it."""
    spans = Spans()
    await run(spans, order(trace=ORIGIN.encode()))
    ended = spans.ended
    task = ended["task deliver"]
    assert task.context is not None
    assert (task.context.trace_id, parent_id(task), task.links) == (ORIGIN.trace_id, ORIGIN.span_id, ())
    assert parent_id(ended["work"]) == id_of(task)


async def test_a_run_that_comes_later_links_to_it() -> None:
    """In a trace of its own: another attempt, or the first after more than a minute."""
    for late in (
        order(attempt=2, trace=ORIGIN.encode()),
        order(run_at=NOW - CONTINUES_S, trace=ORIGIN.encode()),
    ):
        spans = Spans()
        await run(spans, late)
        task = spans.ended["task deliver"]
        assert task.context is not None
        assert task.parent is None
        assert task.context.trace_id != ORIGIN.trace_id
        assert [(link.context.trace_id, link.context.span_id) for link in task.links] == [ORIGIN[:2]]


async def test_a_run_that_nobody_traces_has_no_span() -> None:
    """Also where the worker was asked from within one, and where what lies beside the task is no trace."""
    for untraced in (order(), order(trace="nonsense")):
        spans = Spans()
        with spans.request():
            [end] = await run(spans, untraced)
        assert end.outcome is Outcome.SUCCEEDED
        assert set(spans.ended) == {"request"}


async def test_without_a_tracer_it_runs_all_the_same() -> None:
    """Where nothing is exported."""
    [end] = await run(None, order(trace=ORIGIN.encode()))
    assert end.outcome is Outcome.SUCCEEDED


async def test_a_run_that_fails_says_no_more_than_how() -> None:
    """The kind of its error."""
    spans = Spans()
    [end] = await run(spans, order("fail", trace=ORIGIN.encode()))
    assert end.outcome is Outcome.FAILED
    task = spans.ended["task fail"]
    assert task.attributes is not None
    assert task.attributes["error.type"] == "Retry"
    assert "4242" not in task.to_json()
