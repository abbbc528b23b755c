"""The life of an alert: it begins, fires, wavers, resolves, and is told once."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta

import pytest

from actors.monitor.alerts import ALERTS_MAX, RESOLVED_KEPT_S, UNKNOWN_S, AlertBook, AlertRule, AlertState, Severity
from actors.monitor.changes import Changes
from actors.monitor.messages import Change
from actors.monitor.silences import SILENCES_MAX, Silence, Silences, TooManySilences
from actors.runtime.clock import ManualClock
from tests.unit.monitor.makers import finding

OVER, BETWEEN, CLEAR = 9.0, 4.8, 1.0


class Book:
    """A book and a clock; the threshold is 5, it fires after 3 s and resolves after 10 s below 4.5."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.changes = Changes()
        self.book = AlertBook(self.changes)

    def see(self, value: float | None, seconds: int = 1) -> list[AlertState]:
        """Look once a second, and return the states."""
        for _ in range(seconds):
            self.clock.advance(1)
            found = () if value is None else (finding(value),)
            self.book.see(found, self.clock.monotonic(), self.clock.now())
        return [view.state for view in self.book.views()]


def test_it_fires_when_it_lasted_and_resolves_when_it_was_clear_as_long_as_wanted() -> None:
    """Not earlier, and each is told once."""
    book = Book()
    assert book.see(OVER, 3) == [AlertState.PENDING]
    assert not book.book.news(())
    assert book.see(OVER) == [AlertState.FIRING]
    assert [each.state for each in book.book.news(())] == [AlertState.FIRING]
    assert book.see(OVER, 100) == [AlertState.FIRING]
    assert not book.book.news(())
    assert book.see(CLEAR, 10) == [AlertState.FIRING]
    assert book.see(CLEAR) == [AlertState.RESOLVED]
    assert [each.state for each in book.book.news(())] == [AlertState.RESOLVED]
    assert not book.book.news(())
    assert book.see(CLEAR, int(RESOLVED_KEPT_S)) == [AlertState.RESOLVED]
    assert book.see(CLEAR, 2) == []


def test_what_does_not_last_never_fires() -> None:
    """Nor does it leave anything behind."""
    book = Book()
    for _ in range(20):
        assert book.see(OVER, 3) == [AlertState.PENDING]
        assert book.see(CLEAR) == []
    assert not book.book.news(())


def test_what_wavers_does_not_flap() -> None:
    """About the threshold it fires once; only what stays clear resolves it."""
    book = Book()
    book.see(OVER, 4)
    for _ in range(50):
        assert book.see(BETWEEN, 5) == [AlertState.FIRING]
        assert book.see(OVER) == [AlertState.FIRING]
        assert book.see(CLEAR, 9) == [AlertState.FIRING]
    assert len(book.book.news(())) == 1


def test_what_is_not_found_any_more_goes_on_for_its_time_and_says_so() -> None:
    """Whoever knew of it may be what is broken: that nothing is heard is no good news."""
    book = Book()
    book.see(OVER, 4)
    book.book.news(())
    assert book.see(None, int(UNKNOWN_S)) == [AlertState.FIRING]
    (view,) = book.book.views()
    assert view.reason.endswith("; nothing was heard of it since")
    assert book.see(None) == [AlertState.RESOLVED]
    (told,) = book.book.news(())
    assert told.reason.endswith("; nothing was heard of it since, for 60 s: it is not known to be well")
    assert book.see(None, 60) == [AlertState.RESOLVED]


def test_what_is_found_again_goes_on_as_it_was() -> None:
    """The time without a figure begins anew, and the reason is that of the figure."""
    book = Book()
    book.see(OVER, 4)
    for _ in range(3):
        assert book.see(None, 50) == [AlertState.FIRING]
        assert book.see(OVER) == [AlertState.FIRING]
    (view,) = book.book.views()
    assert view.reason == finding(OVER).reason


def test_a_figure_that_comes_and_goes_resolves_by_the_looks_that_there_are() -> None:
    """Only a look that finds it well ends it; those that find nothing neither help nor hinder."""
    book = Book()
    book.see(OVER, 4)
    book.see(CLEAR)
    assert book.see(None, 20) == [AlertState.FIRING]
    assert book.see(CLEAR) == [AlertState.RESOLVED]


def test_what_is_pending_and_not_found_any_more_is_none() -> None:
    """It was past its threshold for too short a time to be told."""
    book = Book()
    book.see(OVER, 2)
    assert book.see(None) == []


def test_what_another_book_kept_without_a_figure_says_so_once() -> None:
    """And its time begins anew: the book that takes it up has heard nobody yet."""
    book, after = Book(), Book()
    book.see(OVER, 4)
    book.see(None, 50)
    after.book.take_up(book.book.keep(book.clock.monotonic()), after.clock.monotonic())
    assert after.see(None, 50) == [AlertState.FIRING]
    (view,) = after.book.views()
    assert view.reason.count("nothing was heard") == 1


def test_one_that_comes_back_is_another_one() -> None:
    """With an id of its own, while the same life keeps its own."""
    book = Book()
    book.see(OVER, 4)
    first = next(book.book.views()).id
    book.see(CLEAR, 11)
    book.book.news(())
    book.see(OVER, 4)
    (again,) = book.book.views()
    assert again.id != first
    assert [each.id for each in book.book.news(())] == [again.id]


def test_a_rule_below_its_threshold() -> None:
    """Its clear bound lies above."""
    rule = AlertRule("Cold", None, 0.5, "{value:.0%} of {pool} is below {threshold:.0%}", above=False)  # type: ignore[arg-type]
    seen = [rule.find((("pool", "a"),), value) for value in (0.4, 0.52, 0.56)]
    assert [(each.is_over, each.is_clear) for each in seen] == [(True, False), (False, False), (False, True)]
    assert seen[0].reason == "40% of a is below 50%"


def test_it_says_what_was_changed_before_it() -> None:
    """Within ten minutes, the last five, told by several processes or by one."""
    book = Book()
    now = book.clock.now()
    told = [Change(now + timedelta(seconds=number), "deploy", f"version {number}") for number in range(-1, 7)]
    old = Change(now - timedelta(minutes=11), "scale", "to 3")
    book.changes.add([old, *told])
    book.changes.add([each._replace(at=each.at + timedelta(seconds=2)) for each in told])
    book.see(CLEAR, 7)
    book.see(OVER, 4)
    (view,) = book.book.views()
    assert [each.what for each in view.changes] == [f"version {number}" for number in range(2, 7)]


def test_alerts_are_bounded() -> None:
    """Resolved ones make room, and what does not fit is not kept."""
    clock, book = ManualClock(), AlertBook(Changes())
    many = [finding(OVER, id=str(number)) for number in range(ALERTS_MAX + 10)]
    for _ in range(5):
        clock.advance(1)
        book.see(many, clock.monotonic(), clock.now())
    assert len(list(book.views())) == ALERTS_MAX
    for _ in range(12):
        clock.advance(1)
        book.see(
            [*(finding(CLEAR, id=str(number)) for number in range(10)), *many[10:]], clock.monotonic(), clock.now()
        )
    assert {view.labels for view in book.views()} == {each.labels for each in many[10:]}


def test_what_another_book_kept_goes_on_and_is_not_told_again() -> None:
    """It resolves, and that is told."""
    book, after = Book(), Book()
    book.see(OVER, 4)
    book.book.news(())
    after.clock.advance(500)
    after.book.take_up(book.book.keep(book.clock.monotonic()), after.clock.monotonic())
    assert after.see(OVER, 5) == [AlertState.FIRING]
    assert not after.book.news(())
    assert after.see(CLEAR, 11) == [AlertState.RESOLVED]
    assert len(after.book.news(())) == 1


def _silence(number: int, until: datetime, **labels: str) -> Silence:
    return Silence(str(number), "Hot", tuple(sorted(labels.items())), until, "key_1", "known")


def test_a_silent_alert_is_told_when_its_silence_ends() -> None:
    """If it still fires; if it was told before, its end is told all the same."""
    book, silences = Book(), Silences()
    silences.add(_silence(1, book.clock.now() + timedelta(seconds=30)))
    book.see(OVER, 4)

    def news() -> list[AlertState]:
        silences.forget_ended(book.clock.now())
        silent = [each.id for each in silences.marked(book.book.views()) if each.silenced_until]
        return [each.state for each in book.book.news(silent)]

    assert news() == []
    book.see(OVER, 30)
    assert news() == [AlertState.FIRING]
    silences.add(_silence(2, book.clock.now() + timedelta(hours=1)))
    book.see(CLEAR, 11)
    assert news() == [AlertState.RESOLVED]


def test_a_silence_covers_its_labels_and_whatever_others_there_are() -> None:
    """And no other alert."""
    until = datetime(2026, 1, 1).astimezone()
    clock, book = ManualClock(), AlertBook(Changes())
    book.see([finding(OVER, pool="a", node="n")], clock.monotonic(), clock.now())
    (view,) = book.views()
    assert _silence(1, until).covers(view)
    assert _silence(1, until, pool="a").covers(view)
    assert not _silence(1, until, pool="b").covers(view)
    assert not _silence(1, until, zone="z").covers(view)
    assert not _silence(1, until).covers(view._replace(name="Cold"))
    assert view.severity is Severity.PAGE


def test_silences_are_bounded_and_end() -> None:
    """One that is begun again under its id is one."""
    silences, until = Silences(), datetime(2026, 1, 1).astimezone()
    for number in range(SILENCES_MAX):
        silences.add(_silence(number, until + timedelta(seconds=number)))
    silences.add(_silence(0, until))
    with pytest.raises(TooManySilences) as refused:
        silences.add(_silence(-1, until))
    # It crosses processes as what it is.
    assert repr(pickle.loads(pickle.dumps(refused.value))) == repr(refused.value)
    assert silences.end("1")
    assert not silences.end("1")
    assert silences.forget_ended(until + timedelta(seconds=50))
    assert len(silences.views()) == SILENCES_MAX - 51
