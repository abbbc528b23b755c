"""What holds and what does not."""

from __future__ import annotations

from tests.bench.overload.answer import ANSWERED, Answer, Outcome
from tests.bench.overload.tally import StreamTally, Tally
from tests.bench.overload.verdict import all_of, at_least, below, below_if_any, kept_up, none_of, refusals


def test_bounds_are_kept_or_not() -> None:
    """At least takes the bound itself, below does not."""
    assert at_least("", 450.0, 450.0).met is True
    assert at_least("", 449.9, 450.0).met is False
    assert below("", 49.9, 50.0).met is True
    assert below("", 50.0, 50.0).met is False


def test_large_figures_are_shown_in_full() -> None:
    """Twenty-two seconds are no power of ten."""
    verdict = below("", 22_370.7, 50.0, " ms")
    assert (verdict.must, verdict.seen) == ("< 50 ms", "22,371 ms")


def test_a_figure_that_is_missing_meets_nothing() -> None:
    """No captures were served: that is no quick capture. No refusals: there was nothing to be quick about."""
    assert below("", None, 50.0).met is False
    assert below_if_any("", None, 50.0).met is None


def test_nothing_tried_is_nothing_proved() -> None:
    """None of none is no pass."""
    assert none_of("", 0, 10).met is True
    assert none_of("", 1, 10).met is False
    assert none_of("", 0, 0).met is False


def test_other_ends_than_allowed_are_listed() -> None:
    """The line says how many requests ended how; those of other streams are not in it."""
    tally = Tally({"create": StreamTally(), "read": StreamTally()})
    tally.streams["create"].record(Outcome.GOOD, 0, 0, Answer(201, b"", None, closes=False))
    tally.streams["create"].record(Outcome.LATE, 0, 0, Answer(504, b"", None, closes=False))
    assert all_of("", tally, ANSWERED, ("create",)).seen == "1 late of 2"
    assert all_of("", tally, ANSWERED, ("create",)).met is False
    assert all_of("", tally, {*ANSWERED, Outcome.LATE}, ("create",)).met is True
    assert all_of("", tally, ANSWERED, ("read",)).met is False


def test_a_request_that_could_not_be_sent_is_an_error_of_the_run() -> None:
    """So a gateway that answers too little cannot look well by being asked less."""
    tally = Tally({"create": StreamTally()})
    tally.streams["create"].record(Outcome.UNSENT, 0, 0, None, "all connections are in use")
    assert kept_up(tally, "run")[0].met is False


def test_refusals_must_say_when_to_come_again() -> None:
    """One without Retry-After fails the line; where nothing was refused it is neither passed nor failed."""
    tally = Tally({"create": StreamTally()})
    assert refusals(tally)[1].met is None
    tally.streams["create"].record(Outcome.REFUSED, 0, 0.01, Answer(503, b"", 1, closes=False))
    assert [verdict.met for verdict in refusals(tally)] == [True, True, None]
    tally.streams["create"].record(Outcome.REFUSED, 0, 0.01, Answer(503, b"", None, closes=False))
    assert refusals(tally)[1].met is False
