"""The board keeps one state for each breaker, and believes only who knows what it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from actors.breaker.board import NAMES_MAX, SILENT_AFTER_S, BreakerBoard
from actors.breaker.messages import Report, Ruling, Standing, Sync
from actors.runtime.breaker import State

_LIFE = "life"
_WALL = datetime(2026, 1, 1, tzinfo=UTC)
_NAME = "processor:simulator"
_QUIET = Report(_NAME, State.CLOSED, 0, 0, 0, Ruling(), is_new=False)
_OPENED = replace(_QUIET, state=State.OPEN, ruling=Ruling(True, 1.0, 0.8), is_new=True)


@pytest.fixture
def board() -> BreakerBoard:
    """Return a board that every process has heard of."""
    return BreakerBoard(_LIFE)


def _tell(board: BreakerBoard, report: Report, now: float = 0.0, process: str = "one", life: str = _LIFE) -> Standing:
    answer, _ = board.sync(Sync(process, life, (report,)), now, _WALL)
    (standing,) = answer.standings
    return standing


def _state(board: BreakerBoard, now: float = 0.0) -> State:
    (view,) = board.views(now, _WALL)
    return view.state


def test_what_one_process_found_out_all_hear(board: BreakerBoard) -> None:
    """With what is left of the pause."""
    assert _tell(board, _OPENED).is_yours
    heard = _tell(board, _QUIET, now=0.3, process="two")
    assert (heard.version, heard.is_yours) == (1, False)
    assert heard.ruling.is_open
    assert heard.ruling.remaining_s == pytest.approx(0.5)


def test_of_two_that_find_out_together_one_is_taken(board: BreakerBoard) -> None:
    """The other hears that it was late."""
    assert _tell(board, _OPENED, process="one").is_yours
    late = _tell(board, replace(_OPENED, ruling=Ruling(True, 8.0, 8.0)), process="two")
    assert (late.is_yours, late.version, late.ruling.pause_s) == (False, 1, 1.0)


def test_a_stale_report_changes_nothing(board: BreakerBoard) -> None:
    """Who has not heard of the reopening cannot close it."""
    _tell(board, _OPENED)
    _tell(board, replace(_OPENED, version=1, ruling=Ruling(True, 2.0, 1.5)))
    stale = _tell(board, replace(_QUIET, version=1, is_new=True), process="two")
    assert (stale.is_yours, stale.ruling.is_open) == (False, True)
    assert _state(board) is State.OPEN


def test_a_state_that_is_no_news_changes_nothing(board: BreakerBoard) -> None:
    """A process that goes on being closed does not close the others'."""
    _tell(board, _OPENED)
    _tell(board, replace(_QUIET, version=1), process="two")
    assert _state(board) is State.OPEN


def test_after_the_pause_it_is_half_open(board: BreakerBoard) -> None:
    """Until somebody says what came of a probe."""
    _tell(board, _OPENED)
    assert _state(board, 0.79) is State.OPEN
    assert _state(board, 0.81) is State.HALF_OPEN
    _tell(board, replace(_QUIET, version=1, is_new=True), now=1.0)
    assert _state(board, 1.0) is State.CLOSED


def test_a_new_board_is_told_what_is_open(board: BreakerBoard) -> None:
    """By the first who knows; that a breaker is closed is no news to it."""
    assert not _tell(board, replace(_QUIET, version=7), life="before").is_yours
    assert _tell(board, replace(_OPENED, version=7, is_new=False), life="before").is_yours
    assert _state(board) is State.OPEN


def test_the_life_before_counts_no_more_once_something_changed(board: BreakerBoard) -> None:
    """What was found out in this life is newer."""
    _tell(board, _OPENED)
    _tell(board, replace(_QUIET, version=1, is_new=True))
    assert not _tell(board, replace(_OPENED, version=1), life="before", process="two").is_yours
    assert _state(board) is State.CLOSED


def test_forced_open_stays_open(board: BreakerBoard) -> None:
    """Whatever processes say; released, it is asked whether it is back before it closes."""
    _tell(board, _QUIET)
    assert board.force(_NAME, State.OPEN, "key_1", 0.0, _WALL)
    assert not _tell(board, replace(_QUIET, version=1, is_new=True)).is_yours
    (view,) = board.views(100.0, _WALL)
    assert view.state is State.OPEN
    assert view.forced is not None
    assert (view.forced.by, view.forced.at) == ("key_1", _WALL)
    assert view.retry_after_s > 0
    board.force(_NAME, None, "key_1", 100.0, _WALL)
    assert _state(board, 100.0) is State.HALF_OPEN


def test_forced_closed_stays_closed(board: BreakerBoard) -> None:
    """And is closed when it is released."""
    _tell(board, _OPENED)
    board.force(_NAME, State.CLOSED, "key_1", 0.0, _WALL)
    assert not _tell(board, replace(_OPENED, version=2)).is_yours
    assert _state(board) is State.CLOSED
    board.force(_NAME, None, "key_1", 1.0, _WALL)
    assert _state(board, 1.0) is State.CLOSED


def test_what_was_forced_outlives_the_board() -> None:
    """Processes know who did it and when, and tell the next one."""
    board = BreakerBoard("first")
    _tell(board, _QUIET)
    board.force(_NAME, State.CLOSED, "key_1", 0.0, _WALL)
    forced = _tell(board, _QUIET).forced
    second = BreakerBoard("second")
    assert _tell(second, replace(_QUIET, version=1, forced=forced), life="first").is_yours
    (view,) = second.views(0.0, _WALL + timedelta(hours=1))
    assert view.forced == forced


def test_an_unknown_name_cannot_be_forced(board: BreakerBoard) -> None:
    """No process has it."""
    assert board.force("processor:other", State.OPEN, "key_1", 0.0, _WALL) is None


def test_each_transition_is_told_once(board: BreakerBoard) -> None:
    """With who found out; the end of a pause shows with the next report."""
    told = []
    for at, report in (
        (0.0, _QUIET),
        (0.1, _OPENED),
        (0.2, replace(_QUIET, version=1)),
        (2.0, replace(_QUIET, version=1)),
        (2.1, replace(_QUIET, version=1, is_new=True)),
        (2.2, replace(_QUIET, version=2)),
    ):
        _, transitions = board.sync(Sync("one", _LIFE, (report,)), at, _WALL)
        told += [(each.before.value, each.after.value, each.by) for each in transitions]
    assert told == [("closed", "open", "one"), ("open", "half_open", "one"), ("half_open", "closed", "one")]


def test_figures_are_those_of_all_processes_that_are_heard(board: BreakerBoard) -> None:
    """One that is silent is forgotten."""
    _tell(board, replace(_QUIET, calls=10, failures=1), now=0.0, process="one")
    _tell(board, replace(_QUIET, calls=5, failures=2), now=2.0, process="two")
    (view,) = board.views(2.0, _WALL)
    assert (view.calls, view.failures, [each.process for each in view.processes]) == (15, 3, ["one", "two"])
    (view,) = board.views(SILENT_AFTER_S + 0.1, _WALL)
    assert (view.calls, view.failures) == (5, 2)


def test_breakers_that_are_not_shared_are_as_bad_as_the_worst(board: BreakerBoard) -> None:
    """And nobody is told to adopt that."""
    alone = replace(_QUIET, name="redis", shared=False)
    _tell(board, alone, process="one")
    heard = _tell(board, replace(alone, state=State.OPEN), process="two")
    assert (heard.version, heard.ruling.is_open) == (0, False)
    assert _state(board) is State.OPEN
    _tell(board, alone, process="two")
    assert _state(board) is State.CLOSED


def test_names_are_bounded(board: BreakerBoard) -> None:
    """What is too much is not kept, and breaks nothing."""
    reports = tuple(replace(_OPENED, name=f"processor:{number:03}") for number in range(NAMES_MAX + 5))
    answer, _ = board.sync(Sync("one", _LIFE, reports), 0.0, _WALL)
    assert len(answer.standings) == len(board.views(0.0, _WALL)) == NAMES_MAX
