"""What is counted of a run."""

from __future__ import annotations

import pickle

import pytest

from tests.bench.overload.answer import Answer, Outcome
from tests.bench.overload.tally import SAMPLES_MAX, StreamTally, Tally

DONE = Answer(201, b"{}", None, closes=False)
GOOD = (Outcome.GOOD,)


def refusal(wait_s: int | None) -> Answer:
    """Return a refusal that asks for a wait."""
    return Answer(503, b"", wait_s, closes=False)


def counted() -> Tally:
    """Return a run of two streams."""
    tally = Tally({"create": StreamTally(), "read": StreamTally()})
    tally.streams["create"].record(Outcome.GOOD, 0.5, 1.5, DONE)
    tally.streams["create"].record(Outcome.GOOD, 0.5, 2.5, DONE)
    tally.streams["create"].record(Outcome.REFUSED, 1.0, 1.01, refusal(2))
    tally.streams["read"].record(Outcome.GOOD, 2.0, 2.1, DONE)
    return tally


def test_goodput_counts_answers_by_when_they_came() -> None:
    """An answer after the window is not in its goodput, although the request was due within."""
    tally = counted()
    assert tally.goodput(0, 2) == 0.5
    assert tally.goodput(2, 3, ("create",)) == 1.0
    assert tally.due(GOOD, 0, 1) == 2


def test_latency_counts_from_when_a_request_was_due() -> None:
    """The median of one and two seconds is a second, within the histogram's four per cent."""
    tally = counted()
    assert tally.latency_ms(0.5, GOOD, ("create",)) == pytest.approx(1000, rel=0.04)
    assert tally.latency_max_ms(GOOD, ("create",)) == 2000
    assert tally.latency_ms(0.5, (Outcome.BROKEN,)) is None


def test_refusals_are_counted_by_the_wait_they_ask_for() -> None:
    """Those that ask for nothing are counted apart."""
    stream = counted().streams["create"]
    stream.record(Outcome.REFUSED, 1.0, 1.0, refusal(2))
    stream.record(Outcome.REFUSED, 1.0, 1.0, refusal(None))
    assert stream.retry_after_s == {2: 2}
    assert stream.retry_after_missing == 1


def test_counts_of_two_processes_add_up() -> None:
    """Whatever the order of merging, nothing is lost or counted twice."""
    one, other = counted(), pickle.loads(pickle.dumps(counted()))
    other.streams["read"].record(Outcome.BROKEN, 9.0, 9.5, None, "closed")
    other.late_s.record(0.001)
    one.add(other)
    assert one.offered() == 9
    assert one.count(GOOD) == 6
    assert one.due((Outcome.BROKEN,), 9, 10, ("read",)) == 1
    assert one.goodput(2, 3) == 4
    assert one.late_s.count == 1
    assert one.streams["create"].retry_after_s == {2: 2}
    assert one.streams["read"].samples == ["broken: closed"]


def test_samples_are_few() -> None:
    """Of many errors some are kept to be read, not all."""
    stream = StreamTally()
    for number in range(20):
        stream.record(Outcome.ERROR, 0, 0, Answer(500, b"oops %d" % number, None, closes=False))
    assert stream.samples[0] == "error: 500 oops 0"
    assert len(stream.samples) == SAMPLES_MAX
    assert stream.ended[Outcome.ERROR].latency_s.count == 20
