"""What is noted of a request, for its log line."""

from __future__ import annotations

import asyncio

import pytest

from serve_app.tracing.notes import Noted, Notes, current_notes, known_method
from tests.support.spans import Spans, id_of, parent_id


async def test_stages_are_noted_wherever_the_work_is_done() -> None:
    """Also in a task that goes on by itself; one that runs twice counts both times."""
    notes = Notes(1)
    token = notes.enter()

    async def work() -> None:
        for _ in range(2):
            with Noted("begin"):
                await asyncio.sleep(0)

    task = asyncio.create_task(work())
    notes.leave(token)
    assert current_notes() is None
    await task
    assert list(notes.stages) == ["begin"]
    assert notes.stages["begin"] > 0


def test_a_stage_that_fails_is_noted_too() -> None:
    """With the time until then."""
    notes = Notes(1)
    token = notes.enter()
    with pytest.raises(ValueError, match="x"), Noted("begin"):
        raise ValueError("x")
    notes.leave(token)
    assert "begin" in notes.stages


def test_a_stage_of_nobody_s_request_is_not_noted() -> None:
    """The resolver's, for instance."""
    with Noted("begin"):
        assert current_notes() is None


def test_a_stage_of_a_traced_request_is_a_span() -> None:
    """Beneath the request's."""
    spans, notes = Spans(), Notes(1)
    notes.traced = True
    token = notes.enter()
    with spans.request(), Noted("begin"):
        pass
    notes.leave(token)
    assert parent_id(spans.ended["begin"]) == id_of(spans.ended["request"])


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (None, None),
        ("insufficient_funds", "insufficient_funds"),
        ("4242424242424242", "other"),
        ("a_word_that_nobody_knows", "other"),
        ("Ms. Miller has no money", "other"),
    ],
)
def test_a_processor_s_code_is_told_only_where_it_is_known(code: str | None, told: str | None) -> None:
    """It is the text of somebody else."""
    notes = Notes(1)
    notes.answered("declined", code, replayed=False)
    assert notes.decline_code == told


def test_a_method_is_told_only_where_it_is_one() -> None:
    """A client can send any word."""
    assert (known_method("PATCH"), known_method("4242424242424242")) == ("PATCH", "_OTHER")
