"""Any mix of items, keys, cancellations, deadlines and failing calls gives every caller exactly one outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runtime.coalescer import Coalescer
from actors.runtime.errors import Overloaded


@dataclass(frozen=True)
class Item:
    """What becomes of it: sent and echoed, failed alone, or given up by its caller after some turns."""

    number: int
    key: int
    fails: bool
    cancelled_after: int | None


@dataclass(frozen=True)
class Plan:
    """The bounds of a coalescer and what its server does with each call."""

    items: list[Item]
    batch_max: int
    in_flight_max: int
    queue_max: int
    keyed: bool
    call_turns: list[int]
    call_raises: list[bool]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 40))
    items = [
        Item(number, draw(st.integers(0, 5)), draw(st.booleans()), draw(st.none() | st.integers(0, 6)))
        for number in range(count)
    ]
    return Plan(
        items=items,
        batch_max=draw(st.integers(1, 8)),
        in_flight_max=draw(st.integers(1, 4)),
        queue_max=draw(st.integers(1, 50)),
        keyed=draw(st.booleans()),
        call_turns=draw(st.lists(st.integers(0, 4), min_size=1, max_size=10)),
        call_raises=draw(st.lists(st.booleans(), min_size=1, max_size=10)),
    )


class Server:
    """Checks each batch as it comes, and answers after some turns."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._calls = 0
        self._out: Counter[int] = Counter()
        self._batches_out = 0
        self.order: dict[int, list[int]] = {}
        self.sent: Counter[int] = Counter()

    async def send(self, items: list[Item]) -> Sequence[int | BaseException]:
        plan, call = self._plan, self._calls
        self._calls += 1
        self._batches_out += 1
        assert 1 <= len(items) <= plan.batch_max
        assert self._batches_out <= plan.in_flight_max
        for item in items:
            self.sent[item.number] += 1
            self._out[item.key] += 1
            self.order.setdefault(item.key, []).append(item.number)
            if plan.keyed:
                assert self._out[item.key] == 1, "two of one key are out"
        for _ in range(plan.call_turns[call % len(plan.call_turns)]):
            await asyncio.sleep(0)
        self._batches_out -= 1
        for item in items:
            self._out[item.key] -= 1
        if plan.call_raises[call % len(plan.call_raises)]:
            raise ConnectionError("the whole call")
        return [ValueError(item.number) if item.fails else item.number for item in items]


async def _client(coalescer: Coalescer[Item, int], item: Item) -> object:
    task = asyncio.ensure_future(coalescer.submit(item))
    if item.cancelled_after is not None:
        for _ in range(item.cancelled_after):
            await asyncio.sleep(0)
        task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    return outcome


@given(plans())
@settings(max_examples=200, deadline=None)
def test_every_caller_gets_its_own_outcome_once(plan: Plan) -> None:
    """No item is sent twice or answered with another's result, order per key holds, and the drain ends."""

    async def run() -> None:
        server = Server(plan)
        coalescer: Coalescer[Item, int] = Coalescer(
            server.send,
            name="c",
            batch_max=plan.batch_max,
            in_flight_max=plan.in_flight_max,
            queue_max=plan.queue_max,
            key=(lambda item: item.key) if plan.keyed else None,
        )
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*(_client(coalescer, item) for item in plan.items))
            await coalescer.drain()
        assert (coalescer.queue_depth, coalescer.in_flight) == (0, 0)
        assert max(server.sent.values(), default=0) <= 1
        for item, outcome in zip(plan.items, outcomes, strict=True):
            match outcome:
                case int():
                    assert (outcome, item.fails) == (item.number, False)
                case ValueError():
                    assert (outcome.args, item.fails) == ((item.number,), True)
                case asyncio.CancelledError():
                    assert item.cancelled_after is not None
                case Overloaded():
                    assert server.sent[item.number] == 0
                case _:
                    assert isinstance(outcome, ConnectionError)
        if plan.keyed:
            assert all(numbers == sorted(numbers) for numbers in server.order.values())

    asyncio.run(run())
