"""The gate on an event loop: waiting, waking, refusing, and clients who go away."""

from __future__ import annotations

import asyncio

import pytest

from actors.runtime.clock import SystemClock
from actors.runtime.errors import DeadlineExceeded, Overloaded
from serve_app.admission.admission import LIVE, TEST, Admission, ClientGone
from serve_app.admission.ticket import AtProcessor, Ticket, current_ticket, wait_outside
from serve_app.admission.work import Work

_CLOCK = SystemClock()


def _admission(workers: int = 1, queue_max: int = 100) -> Admission:
    return Admission.of(_CLOCK, lambda: 0.0, queue_max=queue_max, workers=workers)


async def _enter(
    admission: Admission,
    work: Work = Work.CREATING,
    *,
    merchant: str = "m",
    live: bool = False,
    within_s: float = 30.0,
    calls_processor: bool = True,
) -> Ticket:
    return await admission.enter(
        merchant,
        "kind",
        work,
        live=live,
        calls_processor=calls_processor,
        deadline=_CLOCK.monotonic() + within_s,
    )


async def _settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def _in_flight(admission: Admission) -> int:
    return sum(admission.figures().in_flight.values())


async def test_one_waits_until_another_leaves() -> None:
    """And is let in at once then."""
    admission = _admission()
    first = await _enter(admission)
    second = asyncio.create_task(_enter(admission))
    await _settle()
    assert (second.done(), admission.figures().waiting) == (False, 1)
    first.release()
    ticket = await asyncio.wait_for(second, 1)
    ticket.release()
    assert (admission.figures().waiting, _in_flight(admission)) == (0, 0)


async def test_it_remembers_how_many_waited_at_most() -> None:
    """Until it is asked: a queue that was full between two looks was full."""
    admission = _admission()
    first = await _enter(admission)
    assert admission.take_crest() == 0
    waiting = [asyncio.create_task(_enter(admission)) for _ in range(3)]
    await _settle()
    first.release()
    for each in waiting:
        (await asyncio.wait_for(each, 1)).release()
    assert admission.figures().waiting == 0
    assert admission.take_crest() == 3
    assert admission.take_crest() == 0


async def test_demand_counts_those_who_came_and_those_let_in() -> None:
    """Whoever waits has come; whoever is refused has too."""
    admission = _admission(queue_max=1)
    first = await _enter(admission)
    second = asyncio.create_task(_enter(admission))
    await _settle()
    with pytest.raises(Overloaded):
        await _enter(admission, Work.READING)
    demand = admission.demand()
    assert (demand.arrived, demand.admitted) == (3, 1)
    assert demand.in_flight >= 2
    first.release()
    (await asyncio.wait_for(second, 1)).release()
    assert admission.demand() == (3, 2, 0)


async def test_the_important_go_first() -> None:
    """A capture that came last is let in before payments that waited; live goes before test."""
    admission = _admission()
    first = await _enter(admission)
    order: list[str] = []

    async def enter(name: str, work: Work, *, live: bool = False) -> None:
        ticket = await _enter(admission, work, live=live, calls_processor=False)
        order.append(name)
        ticket.release()

    waiting = [
        asyncio.create_task(enter("list", Work.LISTING)),
        asyncio.create_task(enter("create", Work.CREATING)),
        asyncio.create_task(enter("capture", Work.FINISHING)),
        asyncio.create_task(enter("live list", Work.LISTING, live=True)),
    ]
    await _settle()
    first.release()
    await asyncio.gather(*waiting)
    assert order == ["live list", "capture", "create", "list"]


async def test_a_full_queue_makes_room_for_what_is_more_important() -> None:
    """The least important one that waits is refused in its place; one as important as all is refused itself."""
    admission = _admission(queue_max=1)
    first = await _enter(admission)
    listing = asyncio.create_task(_enter(admission, Work.LISTING))
    await _settle()
    capture = asyncio.create_task(_enter(admission, Work.FINISHING))
    with pytest.raises(Overloaded):
        await listing
    with pytest.raises(Overloaded):
        await _enter(admission, Work.FINISHING, merchant="other")
    first.release()
    (await capture).release()
    counts = {series.labels: count for series, count in admission.tallies().items()}
    assert counts == {
        ("finishing", "admitted"): 1,
        ("creating", "admitted"): 1,
        ("finishing", "waited"): 1,
        ("listing", "waited"): 1,
        ("listing", "refused_outranked"): 1,
        ("finishing", "refused_queue_full"): 1,
    }


async def test_who_would_wait_too_long_is_refused_at_once() -> None:
    """Behind ten that wait for a place of 0.2 s each two seconds would be too long.

    It is told when to come again, which is not before that wait would be over.
    """
    admission = _admission()
    first = await _enter(admission)
    waiting = [asyncio.create_task(_enter(admission)) for _ in range(10)]
    await _settle()
    with pytest.raises(Overloaded) as refused:
        await asyncio.wait_for(_enter(admission), 1)
    assert refused.value.retry_after_s >= 2.0
    first.release()
    for task in waiting:
        (await task).release()


async def test_a_request_whose_time_is_over_is_not_begun() -> None:
    """It leaves the queue, and nobody is let in for it."""
    admission = _admission(workers=2)
    held = [await _enter(admission) for _ in range(2)]
    with pytest.raises(DeadlineExceeded):
        await _enter(admission, within_s=0.12)
    assert admission.figures().waiting == 0
    for ticket in held:
        ticket.release()
    assert _in_flight(admission) == 0


async def test_a_client_who_goes_away_leaves_the_queue() -> None:
    """Its request is not begun, and the next one gets the place."""
    admission = _admission()
    first, gone = await _enter(admission), asyncio.Event()

    async def hung_up() -> None:
        await gone.wait()

    waiting = asyncio.create_task(
        admission.enter(
            "m",
            "kind",
            Work.CREATING,
            live=False,
            calls_processor=True,
            deadline=_CLOCK.monotonic() + 30,
            hung_up=hung_up,
        )
    )
    await _settle()
    gone.set()
    with pytest.raises(ClientGone):
        await waiting
    assert admission.figures().waiting == 0
    first.release()
    assert _in_flight(admission) == 0


async def test_a_request_that_is_cancelled_as_its_turn_comes_passes_the_place_on() -> None:
    """No place is lost between being given and being taken."""
    admission = _admission()
    first = await _enter(admission)
    cancelled, next_one = asyncio.create_task(_enter(admission)), asyncio.create_task(_enter(admission))
    await _settle()
    first.release()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    (await asyncio.wait_for(next_one, 1)).release()
    assert _in_flight(admission) == 0


async def test_at_the_processor_the_gateway_s_place_is_another_s() -> None:
    """Only the processor's place stays taken; a read is let in meanwhile."""
    admission = _admission()
    ticket = await _enter(admission)
    with ticket:
        with AtProcessor():
            assert admission.figures().in_flight == {"gateway": 0, TEST: 1, LIVE: 0}
            read = await _enter(admission, Work.READING, calls_processor=False)
        assert admission.figures().in_flight["gateway"] == 2
        read.release()
    assert (_in_flight(admission), current_ticket()) == (0, None)


async def test_a_place_is_kept_by_the_work_that_goes_on() -> None:
    """The request has ended, its work has not."""
    admission = _admission()
    ticket = await _enter(admission)
    with ticket:
        ticket.hold()
    assert _in_flight(admission) == 2
    ticket.release()
    assert _in_flight(admission) == 0


async def test_who_waits_for_another_s_answer_needs_no_place() -> None:
    """Giving it up twice, and leaving after it, harm nothing."""
    admission = _admission()
    with await _enter(admission):
        wait_outside()
        wait_outside()
        assert _in_flight(admission) == 0
    assert _in_flight(admission) == 0
