"""What a shard grants, to whom, and what it makes of questions that come twice, late or not at all."""

from __future__ import annotations

import pytest

from actors.cache.limits.ledger import EXACT_MAX, PermitLedger
from actors.cache.limits.messages import LEASE_S, WINDOW_S, PermitAsk
from actors.runtime.clock import ManualClock

_KEY = "limit:a"


def _ask(
    number: int, *, limit: int = 10, spent: int = 0, age_s: float = 0.0, held: int = 0, waiting: int = 0, ahead: int = 0
) -> PermitAsk:
    """Return a question of a process that has spent nothing before what this tells of."""
    groups = ((age_s, spent),) if spent else ()
    return PermitAsk(_KEY, limit, number, spent, groups, held, waiting, ahead)


def _ledger(clock: ManualClock, *, keys_max: int = 10) -> PermitLedger:
    return PermitLedger(clock=clock.monotonic, life="1", is_first=True, keys_max=keys_max)


def test_a_question_that_comes_again_changes_nothing() -> None:
    """Neither at once nor after the next: it is granted nothing, and what is out stays out."""
    ledger = _ledger(ManualClock())
    first, second = _ask(1, waiting=4), _ask(2, held=4, waiting=3)
    assert [ledger.answer("a", ask).granted for ask in (first, first, second, first, second)] == [4, 0, 3, 0, 0]
    assert ledger.answer("b", _ask(1, waiting=9)).granted == 3


def test_permits_of_an_answer_that_was_lost_are_free_with_the_next_question() -> None:
    """The process says what it holds, and takes no answer but the last."""
    ledger = _ledger(ManualClock())
    assert ledger.answer("a", _ask(1, waiting=10)).granted == 10
    assert ledger.answer("a", _ask(2, waiting=10)).granted == 10


def test_what_is_told_twice_is_counted_once() -> None:
    """Where the answer was lost, the next question tells of the same spends."""
    ledger = _ledger(ManualClock())
    ledger.answer("a", _ask(1, spent=6))
    assert ledger.answer("a", _ask(2, spent=6)).remaining == 4


def test_a_spend_counts_from_when_it_was() -> None:
    """Not from when it was told."""
    clock = ManualClock()
    ledger = _ledger(clock)
    answer = ledger.answer("a", _ask(1, spent=10, age_s=5.0))
    assert answer.remaining == 0
    assert answer.retry_in_s == pytest.approx(WINDOW_S - 5)
    clock.advance(WINDOW_S - 5.001)
    assert ledger.answer("b", _ask(1, waiting=1)).granted == 0
    clock.advance(0.002)
    assert ledger.answer("b", _ask(2, waiting=1)).granted == 1


def test_permits_of_a_silent_process_count_as_spent_at_the_end_of_its_lease() -> None:
    """They may have been, so they are free a window after that."""
    clock = ManualClock()
    ledger = _ledger(clock)
    ledger.answer("a", _ask(1, waiting=10))
    clock.advance(LEASE_S + WINDOW_S - 0.001)
    assert ledger.answer("b", _ask(1, waiting=1)).granted == 0
    clock.advance(0.002)
    assert ledger.answer("b", _ask(2, waiting=10)).granted == 10


@pytest.mark.parametrize(("limit", "lent"), [(EXACT_MAX, 0), (EXACT_MAX + 1, 24), (6000, 100)])
def test_little_is_lent_ahead(limit: int, lent: int) -> None:
    """Nothing of a small limit, and no more than is asked for, nor than a part, of a large one."""
    assert _ledger(ManualClock()).answer("a", _ask(1, limit=limit, ahead=100)).granted == lent


def test_all_processes_together_hold_a_twenty_fifth_at_the_most() -> None:
    """Once all have asked: each may hold its part of that."""
    ledger = _ledger(ManualClock())
    for round_ in range(2):
        answers = [ledger.answer(owner, _ask(round_, limit=6000, ahead=1000)) for owner in "abcd"]
    assert sum(answer.granted for answer in answers) == 240
    assert {answer.owners for answer in answers} == {4}


def test_near_the_limit_less_is_lent_ahead() -> None:
    """Half of what is left, at the most."""
    ledger = _ledger(ManualClock())
    assert ledger.answer("a", _ask(1, limit=1000, spent=990, ahead=100)).granted == 5


def test_a_ledger_that_starts_again_grants_nothing_for_a_window_and_a_lease() -> None:
    """It counts what processes tell of meanwhile, also what they hold."""
    clock = ManualClock()
    ledger = PermitLedger(clock=clock.monotonic, life="2")
    first = ledger.answer("a", _ask(1, held=2, waiting=1))
    assert (first.is_static, first.granted) == (True, 0)
    clock.advance(WINDOW_S + LEASE_S - 0.5)
    assert ledger.answer("a", _ask(2, spent=4, held=2, waiting=1)).is_static
    clock.advance(0.5)
    assert ledger.answer("b", _ask(1, waiting=10)).granted == 4


def test_a_ledger_that_recovers_is_another_to_its_processes() -> None:
    """So that they tell it of their whole windows."""
    ledger = _ledger(ManualClock())
    before = ledger.answer("a", _ask(1)).life
    ledger.recover()
    after = ledger.answer("a", _ask(2))
    assert after.life != before
    assert after.is_static


def test_it_remembers_so_many_keys_and_forgets_those_of_which_nothing_counts() -> None:
    """Of more than that it knows nothing, and says so: static shares are safe."""
    clock = ManualClock()
    ledger = _ledger(clock, keys_max=1)
    ledger.answer("a", _ask(1, waiting=1))
    other = _ask(2, waiting=1)._replace(key="limit:b")
    assert ledger.answer("a", other).is_static
    clock.advance(WINDOW_S + LEASE_S + 1)
    assert ledger.answer("a", other._replace(number=3)).granted == 1
    assert len(ledger) == 1


def test_minor_keys_get_half_of_the_room() -> None:
    """Past it they keep to static shares, and other keys are counted all the same."""
    ledger = _ledger(ManualClock(), keys_max=4)
    minor = [_ask(1, waiting=1)._replace(key=f"limit:{number}", is_minor=True) for number in range(3)]
    assert [ledger.answer("a", ask).is_static for ask in minor] == [False, False, True]
    others = [ask._replace(key=f"{ask.key}:other", is_minor=False) for ask in minor]
    assert [ledger.answer("a", ask).is_static for ask in others] == [False, False, True]


def test_what_a_process_gives_back_at_its_end_is_free() -> None:
    """At once, and only what it spent counts for a window."""
    clock = ManualClock()
    ledger = _ledger(clock)
    assert ledger.answer("a", _ask(1, waiting=10)).granted == 10
    ledger.answer("a", _ask(2, spent=3))
    assert ledger.answer("b", _ask(1, waiting=10)).granted == 7
    clock.advance(LEASE_S)
    assert ledger.answer("c", _ask(1, waiting=10)).granted == 0
