"""The tree of errors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from actors.runtime.errors import (
    ActorError,
    DeadlineExceeded,
    OutcomeUnknown,
    Overloaded,
    RowRejected,
    Unavailable,
)

_SAMPLES = [
    ActorError("why"),
    Overloaded("queue", 1.5),
    Unavailable("database", "starting up", 2.0),
    DeadlineExceeded("read"),
    OutcomeUnknown("conclude", "connection lost"),
    RowRejected("begin", "23505", "payments_pkey"),
    RowRejected("begin", "22000", None),
]


def _tree(root: type[ActorError]) -> Iterator[type[ActorError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _tree(kind)


def test_every_class_of_the_tree_is_sampled_here() -> None:
    """A new error cannot be forgotten: the tests below cover the whole tree."""
    defined_here = {kind for kind in _tree(ActorError) if kind.__module__ == "actors.runtime.errors"}
    assert {type(error) for error in _SAMPLES} == defined_here


@pytest.mark.parametrize("error", _SAMPLES, ids=str)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_crosses_processes_whole(error: ActorError, protocol: int) -> None:
    """Pickling keeps class, arguments, fields and text."""
    arrived = pickle.loads(pickle.dumps(error, protocol))
    assert type(arrived) is type(error)
    assert arrived.args == error.args
    assert vars(arrived) == vars(error)
    assert str(arrived) == str(error)


@pytest.mark.parametrize("error", _SAMPLES, ids=str)
def test_an_error_can_be_copied(error: ActorError) -> None:
    """A copy says the same as its original."""
    assert str(copy.copy(error)) == str(error)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Overloaded("queue", 1.0), "queue is overloaded; retry after 1 s"),
        (Unavailable("database", "away", 0.5), "database is unavailable (away); retry after 0.5 s"),
        (DeadlineExceeded("read"), "read did not finish within its deadline"),
        (OutcomeUnknown("pay", "lost"), "the outcome of pay is unknown (lost)"),
        (RowRejected("pay", "23514", "positive"), "pay rejected the row (SQLSTATE 23514, constraint positive)"),
        (RowRejected("pay", "22003", None), "pay rejected the row (SQLSTATE 22003)"),
    ],
)
def test_an_error_says_what_happened(error: ActorError, text: str) -> None:
    """The text is made from the fields."""
    assert str(error) == text
