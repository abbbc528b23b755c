"""Looks at a database: its workload, what can be measured of it, and how it does."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from actors.optimizer.catalog import Catalog, TableName
from actors.optimizer.constants import with_constants
from actors.optimizer.measure import Measures, Meter, Subject
from actors.optimizer.parser import parse, readable
from actors.optimizer.policy import Policy
from actors.optimizer.report import Measured
from actors.optimizer.samples import NoValues, Sample, arguments, columns_wanted, take_sample
from actors.optimizer.server import Examples, Facts, read_catalog, volatile_functions
from actors.optimizer.shape import NotUnderstood, Role, Shape
from actors.optimizer.workload import Statement, Warning, costliest, n_plus_one_warnings, scan_warnings
from actors.optimizer.write_cost import WriteStatement
from actors.optimizer.write_parser import parse_write
from actors.pool.connector import Connection
from actors.pool.faults import DRIVER_ERRORS

_TEXT_MAX = 500
_PARAMETER = re.compile(r"\$\d")


@dataclass(slots=True)
class Survey:
    """What was found. Statements are in the order of their cost."""

    facts: Facts
    catalog: Catalog
    statements: Sequence[Statement] = ()
    shapes: dict[int, Shape] = field(default_factory=dict)
    subjects: list[Subject] = field(default_factory=list)
    measures: dict[int, Measures] = field(default_factory=dict)
    why_not: dict[int, str] = field(default_factory=dict)
    writes: list[WriteStatement] = field(default_factory=list)

    @property
    def used(self) -> frozenset[str]:
        """The indexes that plans of the workload use."""
        return frozenset(name for measures in self.measures.values() for name in measures.indexes)

    def drop(self, subject: Subject, why: str) -> None:
        """Measure a statement no more."""
        self.subjects.remove(subject)
        self.measures.pop(subject.query_id, None)
        self.why_not[subject.query_id] = why

    def subjects_of(self, table: TableName) -> list[Subject]:
        """Return the measured statements that read a table."""
        return [each for each in self.subjects if any(use.table == table for use in each.shape.uses)]

    def share(self, subject: Subject) -> float:
        """Return how much of the time of all reads a statement takes."""
        total = sum(each.statement.total_ms for each in self.subjects)
        return subject.statement.total_ms / total if total else 0.0

    def warnings(self) -> list[Warning]:
        """Return what no index mends, or what waits for one."""
        plans = {query_id: measures.plan for query_id, measures in self.measures.items()}
        return [*scan_warnings(plans), *n_plus_one_warnings(self.statements, self.shapes, self.catalog)]

    def measured(self) -> list[Measured]:
        """Return the workload as it is reported."""
        return [self._measured(statement) for statement in self.statements]

    def _measured(self, statement: Statement) -> Measured:
        measures = self.measures.get(statement.query_id)
        return Measured(
            statement.query_id,
            " ".join(statement.text.split())[:_TEXT_MAX],
            statement.calls,
            statement.mean_ms,
            sum(measures.times_ms) / len(measures.times_ms) if measures is not None else None,
            measures.plan.fingerprint if measures is not None else None,
            self.why_not.get(statement.query_id),
        )


async def survey(
    connection: Connection,
    facts: Facts,
    statements: Sequence[Statement],
    examples: Examples,
    policy: Policy,
    rng: random.Random,
) -> Survey:
    """Understand the costliest statements and measure the reads among them."""
    catalog = await read_catalog(connection, facts.search_path)
    found = Survey(facts, catalog)
    reads: list[Statement] = []
    for statement in statements:
        try:
            shape = parse(statement.text, catalog)
        except NotUnderstood as error:
            found.why_not[statement.query_id] = f"not understood: {error}"
            continue
        if not shape.is_read:
            write = parse_write(statement.text, catalog)
            if write is not None:
                found.writes.append(WriteStatement(statement, write))
        elif shape.uses:
            found.shapes[statement.query_id] = shape
            reads.append(statement)
    found.statements = costliest(reads, limit=policy.statements_max)
    await _choose_subjects(connection, found, examples, policy, rng)
    meter = Meter(connection, timeout_ms=policy.statement_timeout_ms)
    end = time.monotonic() + policy.measure_max_s
    for subject in list(found.subjects):
        if time.monotonic() < end:
            await measure_into(found, meter, subject)
        else:
            found.drop(subject, f"the {policy.measure_max_s:g} s for measuring were over")
    return found


async def measure_into(found: Survey, meter: Meter, subject: Subject) -> None:
    """Measure a subject again; one that the server does not take is no subject any more."""
    try:
        found.measures[subject.query_id] = await meter.measure(subject)
    except DRIVER_ERRORS as error:
        found.drop(subject, f"cannot be run: {type(error).__name__}")


async def _choose_subjects(
    connection: Connection, found: Survey, examples: Examples, policy: Policy, rng: random.Random
) -> None:
    names = {name for each in found.statements for name in found.shapes[each.query_id].functions}
    volatile = await volatile_functions(connection, names)
    samples: dict[tuple[TableName, tuple[str, ...]], Sample | None] = {}
    for statement in found.statements:
        shape = found.shapes[statement.query_id]
        try:
            if shape.reads_unknown:
                raise NoValues("it reads something that is no table")
            if shape.functions & volatile:
                raise NoValues(f"it calls {', '.join(sorted(shape.functions & volatile))}, which may do something")
            seen = examples.of(statement.query_id)
            text = _runnable(statement, shape, seen, found.catalog)
            shape = parse(text, found.catalog)
            rows = await _samples_for(connection, shape, found.catalog, samples, rng)
            sets = arguments(shape, rows, statement.rows_per_call, rng, policy.arguments_max)
            found.subjects.append(Subject(statement, text, shape, sets))
        except (NoValues, NotUnderstood) as reason:
            found.why_not[statement.query_id] = str(reason)
        except asyncpg.PostgresError as error:
            found.why_not[statement.query_id] = f"no values: {type(error).__name__}"


def _runnable(statement: Statement, shape: Shape, seen: Mapping[str, int], catalog: Catalog) -> str:
    """Return the statement with parameters for what changes; one that no column has values for as it was sent."""
    if any(parameter.role is Role.UNKNOWN for parameter in shape.parameters.values()):
        sent = next((text for text in seen if not _PARAMETER.search(text) and _same_shape(text, shape, catalog)), None)
        if sent is not None:
            return sent
    return with_constants(readable(statement.text), shape, seen, catalog)


def _same_shape(text: str, shape: Shape, catalog: Catalog) -> bool:
    """Whether a text as it was sent, which the server may have cut off, is all of the statement."""
    try:
        sent = parse(text, catalog)
    except NotUnderstood:
        return False
    return sent.is_read and sent.functions == shape.functions and len(sent.uses) == len(shape.uses)


async def _samples_for(
    connection: Connection,
    shape: Shape,
    catalog: Catalog,
    known: dict[tuple[TableName, tuple[str, ...]], Sample | None],
    rng: random.Random,
) -> Mapping[int, Sample]:
    rows: dict[int, Sample] = {}
    for use, columns in columns_wanted(shape).items():
        table = catalog.tables[shape.uses[use].table]
        key = (table.name, tuple(sorted(columns)))
        if key not in known:
            known[key] = await take_sample(connection, table, key[1], rng.randrange(1 << 30))
        sample = known[key]
        if sample is None:
            raise NoValues(f"{table.name} has no row with a value of {', '.join(key[1])}")
        rows[use] = sample
    return rows
