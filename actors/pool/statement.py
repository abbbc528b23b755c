"""A statement that handles many rows at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Row = TypeVar("Row", bound=tuple[Any, ...])
Result = TypeVar("Result")


# Without slots: an instance of a subscripted generic that is frozen and has them cannot be made (Python 3.11).
@dataclass(frozen=True)
class BatchStatement(Generic[Row, Result]):
    """A named statement over arrays: one parameter for each field of a row, in order; casts in the SQL give the types.

    It returns at most one row for each that it was given, told apart by an integer column ``ordinal`` from 1
    (``unnest(...) WITH ORDINALITY``). It must be repeatable: after a lost connection the same rows run again. ``key``
    sorts the rows of a batch, so that two batches lock in one order, and keeps rows of one key apart: they run one
    after the other, in the order in which they came. One that only reads says so with ``writes=False``: where its
    connection is lost nothing was done, and ``OutcomeUnknown`` is never raised for it.
    """

    name: str
    sql: str
    result: Callable[[Any], Result]
    key: Callable[[Row], Any] | None
    writes: bool = True
