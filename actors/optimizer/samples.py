"""Gives parameters real values: those of rows that the tables have."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from actors.optimizer.catalog import Table, quoted
from actors.optimizer.shape import Role, Shape
from actors.pool.connector import Connection

SAMPLE_ROWS = 500
_BLOCKS_WANTED = 200
_VALUES_MAX = 100
_PAGE_BYTES = 8192


class NoValues(Exception):
    """A parameter has no value that could be taken from a table; the text says which."""


class Sample:
    """Rows of one table, in random order."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._places = {column: place for place, column in enumerate(columns)}
        self._rows = rows

    def value(self, row: int, column: str) -> Any:
        """Return a value of the row of that number, counted round and round."""
        return self._rows[row % len(self._rows)][self._places[column]]

    def values_from(self, row: int, column: str, count: int) -> list[Any]:
        """Return up to ``count`` different values of a column next to each other in its order, from that of the row."""
        known = sorted({each[self._places[column]] for each in self._rows if each[self._places[column]] is not None})
        if not known:
            return []
        start = min(known.index(self.value(row, column)), max(0, len(known) - count))
        return known[start : start + count]


async def take_sample(connection: Connection, table: Table, columns: Sequence[str], seed: int) -> Sample | None:
    """Read some hundred rows in which none of the columns is null, spread over the table; None: there are none.

    It reads whole pages, a bounded number of them. The session's search for volatile functions does not concern it.
    """
    pages = max(1, table.size_bytes // _PAGE_BYTES)
    share = min(100.0, 100.0 * _BLOCKS_WANTED / pages)
    names = ", ".join(map(quoted, columns))
    known = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    source = table.name.sql
    if not table.is_partitioned and share < 100.0:
        source += f" TABLESAMPLE SYSTEM ({share:.6f}) REPEATABLE ({seed})"
    rows = await connection.fetch(
        f"SELECT {names} FROM (SELECT {names} FROM {source} WHERE {known} LIMIT {SAMPLE_ROWS * 20}) AS sample"
        f" ORDER BY random() LIMIT {SAMPLE_ROWS} /* easypay-optimizer */"
    )
    return Sample(columns, [tuple(row) for row in rows]) if rows else None


def columns_wanted(shape: Shape) -> dict[int, list[str]]:
    """Return the columns whose values a statement needs, by the use of a table.

    Raises:
        NoValues: a parameter is compared with no column.
    """
    wanted: defaultdict[int, list[str]] = defaultdict(list)
    for number, parameter in shape.parameters.items():
        if parameter.role is Role.UNKNOWN:
            raise NoValues(f"parameter ${number} is compared with no column of a table")
        if parameter.use >= 0 and parameter.column not in wanted[parameter.use]:
            wanted[parameter.use].append(parameter.column)
    return dict(wanted)


def arguments(
    shape: Shape, samples: Mapping[int, Sample], rows_per_call: float, rng: random.Random, count: int
) -> list[tuple[Any, ...]]:
    """Return ``count`` sets of arguments.

    Values for one use of a table come from one row, so that there is a row that has them all; several for one column
    lie next to each other in its order. How many rows are asked for is what the statement returned on average.
    """
    return [_one_set(shape, samples, rows_per_call, rng.randrange(SAMPLE_ROWS)) for _ in range(count)]


def _one_set(shape: Shape, samples: Mapping[int, Sample], rows_per_call: float, row: int) -> tuple[Any, ...]:
    rows = max(1, min(1000, round(rows_per_call)))
    together: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for number, parameter in shape.parameters.items():
        together[parameter.use, parameter.column].append(number)
    values: dict[int, Any] = {}
    for number, parameter in shape.parameters.items():
        match parameter.role:
            case Role.LIMIT:
                values[number] = rows
            case Role.OFFSET:
                values[number] = 0
            case Role.VALUES:
                size = min(rows, _VALUES_MAX)
                values[number] = samples[parameter.use].values_from(row, parameter.column, size)
            case _:
                values[number] = samples[parameter.use].value(row, parameter.column)
    for (use, column), numbers in together.items():
        if use >= 0 and len(numbers) > 1:
            near = samples[use].values_from(row, column, len(numbers))
            for place, number in enumerate(sorted(numbers)):
                if shape.parameters[number].role is Role.VALUE:
                    values[number] = near[min(place, len(near) - 1)]
    return tuple(values[number] for number in sorted(shape.parameters))
