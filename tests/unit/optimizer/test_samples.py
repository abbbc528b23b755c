"""Values for parameters."""

from __future__ import annotations

import random

import pytest

from actors.optimizer.parser import parse
from actors.optimizer.samples import NoValues, Sample, arguments, columns_wanted
from tests.unit.optimizer.makers import catalog

_ROWS = [(number, number * 10) for number in range(100)]
_SAMPLE = Sample(("customer_id", "created_at"), _ROWS)


def _arguments(text: str, rows_per_call: float = 3.0) -> list[tuple[object, ...]]:
    shape = parse(text, catalog())
    return arguments(shape, {0: _SAMPLE}, rows_per_call, random.Random(1), 8)


def test_values_of_one_use_come_from_one_row() -> None:
    """So there is a row that has them all."""
    found = _arguments("SELECT * FROM orders WHERE created_at = $2 AND customer_id = $1")
    assert all(values in _ROWS for values in found)
    assert len(set(found)) > 1


def test_two_bounds_lie_next_to_each_other_in_their_order() -> None:
    """Two rows by chance would take in a third of the table."""
    for low, high in _arguments("SELECT * FROM orders WHERE created_at BETWEEN $1 AND $2"):
        assert isinstance(low, int)
        assert high == low + 10


def test_a_limit_is_what_the_statement_returned() -> None:
    """And an array has as many values."""
    for values, limit, offset in _arguments("SELECT * FROM orders WHERE customer_id = ANY($1) LIMIT $2 OFFSET $3"):
        assert isinstance(values, list)
        assert (len(values), limit, offset) == (3, 3, 0)


def test_a_parameter_that_no_column_knows_has_no_value() -> None:
    """Nothing is made up."""
    with pytest.raises(NoValues, match=r"\$1"):
        columns_wanted(parse("SELECT * FROM orders WHERE total * $1 > 5", catalog()))
