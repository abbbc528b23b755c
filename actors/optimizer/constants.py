"""Puts back the constants that `pg_stat_statements` took out of a statement, where all examples of it agree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from actors.optimizer.candidates import STATES_MAX
from actors.optimizer.catalog import Catalog
from actors.optimizer.parser import parse
from actors.optimizer.shape import NotUnderstood, Role, Shape

SEEN_MIN = 3
"""So many times a statement must have been seen as it is sent."""
_PARAMETER = re.compile(r"\$(\d+)")
_LITERAL = re.compile(r"^\"(?:[^\"]|\"\")+\" = (.+)$", re.DOTALL)


def with_constants(text: str, shape: Shape, examples: Mapping[str, int], catalog: Catalog) -> str:
    """Return the statement with its constants; parameters are numbered anew where one is gone.

    A parameter is a constant where each example has the same literal in its place, and the column has few values.
    """
    if sum(examples.values()) < SEEN_MIN:
        return text
    agreed = _agreed(examples, catalog)
    literals = {
        number: agreed[parameter.use, parameter.column]
        for number, parameter in shape.parameters.items()
        if parameter.role is Role.VALUE
        and (parameter.use, parameter.column) in agreed
        and _is_state(shape, parameter.use, parameter.column, catalog)
    }
    return _substituted(text, literals) if literals else text


def _agreed(examples: Iterable[str], catalog: Catalog) -> dict[tuple[int, str], str]:
    """Return the literals that every example compares a column with, by the use of a table and the column."""
    agreed: dict[tuple[int, str], str] | None = None
    for example in examples:
        try:
            shape = parse(example, catalog)
        except NotUnderstood:
            return {}
        here = {
            (position, constant.column): match[1]
            for position, use in enumerate(shape.uses)
            for constant in use.constants
            if constant.is_equality and (match := _LITERAL.match(constant.sql)) is not None
        }
        agreed = here if agreed is None else {key: value for key, value in agreed.items() if here.get(key) == value}
    return agreed or {}


def _is_state(shape: Shape, use: int, column: str, catalog: Catalog) -> bool:
    distinct = catalog.tables[shape.uses[use].table].columns[column].distinct
    # What agrees by chance in a column of many values is no constant.
    return 0 < distinct <= STATES_MAX


def _substituted(text: str, literals: Mapping[int, str]) -> str:
    numbers: dict[int, int] = {}

    def put(match: re.Match[str]) -> str:
        number = int(match[1])
        if number in literals:
            return literals[number]
        return f"${numbers.setdefault(number, len(numbers) + 1)}"

    return _PARAMETER.sub(put, text)
