"""Spans of work, and of batches that work for many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from actors.runtime.coalescer import Coalescer
from actors.runtime.tracing import child, current, traceparent
from tests.support.spans import Spans, id_of, link_ids, parent_id


def test_work_that_is_not_traced_has_no_span() -> None:
    """The one block that stands for it can be entered anywhere, also within itself."""
    with child("outer") as outer, child("inner") as inner:
        assert (outer, inner, current(), traceparent()) == (None, None, None, None)


def test_a_block_lies_beneath_the_one_around_it() -> None:
    """And the next one beside it."""
    spans = Spans()
    with spans.request(), child("first"), child("beneath"):
        pass
    ended = spans.ended
    assert parent_id(ended["first"]) == id_of(ended["request"])
    assert parent_id(ended["beneath"]) == id_of(ended["first"])
    assert current() is None


def test_a_failure_is_told_by_its_kind_alone() -> None:
    """Its text may hold what it was raised about."""
    spans = Spans()
    with pytest.raises(ValueError, match="4242"), spans.request(), child("work"):
        raise ValueError("4242424242424242")
    work = spans.ended["work"]
    assert work.attributes is not None
    assert work.attributes["error.type"] == "ValueError"
    assert not work.status.is_ok
    assert "4242" not in work.to_json()


def test_a_span_that_is_over_is_nobody_s() -> None:
    """What a request leaves running has it in its context still."""
    spans = Spans()
    with spans.request():
        traced = current()
        assert traced is not None
        traced.span.end()
        assert current() is None
        with child("late") as late:
            assert late is None


class Batches:
    """Sends batches, each with a span of its own; holds the first until the others have gathered."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.coalescer: Coalescer[str, str] = Coalescer(self.send, name="things", in_flight_max=1)

    async def send(self, items: list[str]) -> Sequence[str]:
        with child(f"statement for {'+'.join(items)}"):
            await self.go_on.wait()
        return items

    async def submit(self, spans: Spans | None, item: str) -> None:
        """Submit an item, for a request that is traced or for one that is not."""
        if spans is None:
            await self.coalescer.submit(item)
            return
        with spans.request(f"request {item}"):
            await self.coalescer.submit(item)

    async def run(self, spans: Spans, first: bool, *others: bool) -> None:
        """Have the first item leave alone and the others together; True: its request is traced."""
        requests = [asyncio.ensure_future(self.submit(spans if first else None, "0"))]
        while not self.coalescer.in_flight:
            await asyncio.sleep(0)
        requests += [
            asyncio.ensure_future(self.submit(spans if traced else None, str(number)))
            for number, traced in enumerate(others, start=1)
        ]
        await asyncio.sleep(0)
        self.go_on.set()
        await asyncio.gather(*requests)


async def test_a_batch_is_linked_with_its_requests() -> None:
    """It lies beneath the first that is traced, and what it does beneath it."""
    spans, batches = Spans(), Batches()
    await batches.run(spans, False, False, True, True)
    ended = spans.ended
    batch, first, second = ended["batch things"], ended["request 2"], ended["request 3"]
    assert parent_id(batch) == id_of(first)
    assert link_ids(batch) == [id_of(first), id_of(second)]
    assert (link_ids(first), link_ids(second)) == ([], [id_of(batch)])
    assert parent_id(ended["statement for 1+2+3"]) == id_of(batch)
    assert batch.attributes is not None
    assert (batch.attributes["batch.size"], batch.attributes["batch.traced"]) == (3, 2)


async def test_a_batch_does_not_inherit_the_span_of_the_batch_before() -> None:
    """It was started from there, and none of its own requests is traced."""
    spans, batches = Spans(), Batches()
    await batches.run(spans, True, False, False)
    assert set(spans.ended) == {"request 0", "batch things", "statement for 0"}


async def test_a_batch_that_fails_ends_its_span() -> None:
    """And says with what kind of error."""
    spans = Spans()

    async def fail(_: list[str]) -> Sequence[str]:
        raise ConnectionError("secret")

    coalescer: Coalescer[str, str] = Coalescer(fail, name="things")
    with pytest.raises(ConnectionError), spans.request():
        await coalescer.submit("a")
    attributes = spans.ended["batch things"].attributes
    assert attributes is not None
    assert attributes["error.type"] == "ConnectionError"
