"""What a process does with what it was lent."""

from __future__ import annotations

import pytest

from actors.cache.limits.bucket import PermitBucket, Taking
from actors.cache.limits.messages import LEASE_S, WINDOW_S, PermitAnswer


def _answer(
    number: int, granted: int, *, life: str = "1", is_static: bool = False, retry_in_s: float = 0
) -> PermitAnswer:
    return PermitAnswer(number, granted, 100, retry_in_s, 1, life, is_static)


def _lent(granted: int, limit: int = 1000) -> PermitBucket:
    """Return a bucket that asked at 0 and was lent so many."""
    bucket = PermitBucket("limit:a", limit, processes=4)
    bucket.ask(0.0, 1, 0)
    bucket.answered(0.5, _answer(1, granted))
    return bucket


def test_nothing_is_spent_after_the_lease() -> None:
    """Which counts from when the question was sent; what is left is not said to be held any more."""
    bucket = _lent(9)
    assert bucket.take(LEASE_S - 0.001) is Taking.TAKEN
    assert bucket.take(LEASE_S) is Taking.EMPTY
    assert bucket.ask(LEASE_S, 2, 1).held == 0


def test_an_answer_that_is_not_to_the_last_question_is_passed_over() -> None:
    """The shard has counted on that with the later question."""
    bucket = PermitBucket("limit:a", 1000, processes=1)
    bucket.ask(0.0, 1, 1)
    bucket.failed()
    bucket.ask(1.0, 2, 1)
    bucket.answered(1.1, _answer(1, 50))
    assert bucket.is_asking
    bucket.answered(1.2, _answer(2, 1))
    assert [bucket.take(1.3) for _ in range(2)] == [Taking.TAKEN, Taking.EMPTY]


def test_it_asks_for_more_when_half_is_spent() -> None:
    """And not again while that question is out."""
    bucket = _lent(8)
    takings = [bucket.take(1.0) for _ in range(4)]
    assert takings == [Taking.TAKEN] * 3 + [Taking.TAKEN_LOW]
    bucket.ask(1.0, 2, 0)
    assert bucket.take(1.0) is Taking.TAKEN


def test_what_it_asks_for_doubles_while_it_is_spent_early() -> None:
    """So a busy key asks seldom, and an idle one holds little again."""
    bucket, wanted = _lent(4), []
    bucket.used_at = 0.1
    for number in range(2, 6):
        ask = bucket.ask(number * 0.1, number, 0)
        wanted.append(ask.held + ask.ahead)
        bucket.answered(number * 0.1, _answer(number, ask.ahead))
        bucket.used_at = number * 0.1
    assert wanted == [8, 16, 32, 64]
    bucket.used_at = 4.0
    ask = bucket.ask(4.0, 6, 0)
    assert (ask.held, ask.ahead) == (32, 0)


def test_a_key_that_is_not_used_is_given_back() -> None:
    """With the question by which its lease would be renewed; then nothing is due."""
    bucket = _lent(9)
    assert not bucket.is_due(LEASE_S / 2 - 0.001)
    assert bucket.is_due(LEASE_S / 2)
    ask = bucket.ask(LEASE_S / 2, 2, 0)
    assert (ask.held, ask.ahead) == (0, 0)
    bucket.answered(LEASE_S / 2, _answer(2, 0))
    assert not bucket.is_due(LEASE_S)


def test_what_is_put_back_was_not_spent() -> None:
    """The shard hears nothing of it."""
    bucket = _lent(9)
    bucket.take(1.0)
    bucket.take(1.0)
    bucket.put_back()
    ask = bucket.ask(1.0, 2, 0)
    assert (ask.spent_total, ask.spent) == (1, ((0.0, 1),))


def test_a_refusal_holds_for_a_quarter_of_a_second() -> None:
    """Others may give permits back before any is free by time."""
    bucket = PermitBucket("limit:a", 10, processes=1)
    bucket.ask(0.0, 1, 1)
    bucket.answered(0.0, _answer(1, 0, retry_in_s=40))
    assert bucket.take(0.2) is Taking.REFUSED
    assert bucket.retry_in_s(0.2) == pytest.approx(39.8)
    assert bucket.take(0.25) is Taking.EMPTY


def test_a_static_share_counts_what_was_lent_before() -> None:
    """A quarter of the limit in a window, whoever lent it."""
    bucket = _lent(9, limit=40)
    for _ in range(9):
        bucket.take(1.0)
    bucket.ask(1.0, 2, 0)
    bucket.failed()
    assert [bucket.take(2.0) for _ in range(2)] == [Taking.TAKEN, Taking.REFUSED]
    assert bucket.retry_in_s(2.0) == pytest.approx(WINDOW_S - 1)
    assert bucket.take(WINDOW_S + 1.5) is Taking.TAKEN


def test_another_shard_hears_of_the_whole_window() -> None:
    """With the question after the one in whose answer it made itself known."""
    bucket = _lent(9)
    for _ in range(5):
        bucket.take(1.0)
    bucket.ask(1.0, 2, 0)
    bucket.answered(1.0, _answer(2, 0))
    bucket.take(2.0)
    first = bucket.ask(2.0, 3, 0)
    assert [count for _, count in first.spent] == [1]
    bucket.answered(2.0, _answer(3, 0, life="2"))
    again = bucket.ask(3.0, 4, 0)
    assert [count for _, count in again.spent] == [5]
    assert again.spent_total == first.spent_total + 5
