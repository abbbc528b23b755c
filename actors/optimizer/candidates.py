"""Proposes indexes for what statements ask of their tables.

The rules are those of the textbook: equalities first, then the order of the result or one range, then what makes the
index cover the query. Source: Lahdenmäki and Leach, Relational Database Index Design and the Optimizers (2005), ch. 8;
partial indexes: PostgreSQL manual, 11.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from actors.optimizer.catalog import Index, IndexSpec, Key, Table
from actors.optimizer.shape import Constant, TableUse

KEYS_MAX = 4
INCLUDE_MAX = 4
INCLUDE_WIDTH_MAX_BYTES = 64
"""More would make the index a second table."""
ROWS_MIN = 1000
"""A smaller table is read as quickly without an index."""
KEY_WIDTH_MAX_BYTES = 512
"""A B-tree entry holds a third of a page at most; values far beyond this belong into a hash of them."""
STATES_MAX = 64
"""A column of more values is a key rather than a state."""
_TUPLE_OVERHEAD_BYTES = 20
_FILL = 0.9


def candidates(use: TableUse, table: Table) -> list[IndexSpec]:
    """Return the indexes that could serve one use of a table, the most promising first, without those that exist."""
    if table.rows < ROWS_MIN or table.is_partitioned:
        return []
    found: list[IndexSpec] = []
    for spec in _proposals(use, table):
        if spec not in found and not any(serves(index, spec) for index in table.indexes):
            found.append(spec)
    return found


def serves(index: Index, spec: IndexSpec) -> bool:
    """Whether an index that exists does all that a proposed one would."""
    if index.keys is None or not index.valid or index.special or index.method != "btree":
        return False
    if index.predicate is not None and not same_condition(index.predicate, spec.predicate):
        return False
    covered = {key.column for key in index.keys} | set(index.include)
    return _is_prefix(spec.keys, index.keys) and covered.issuperset(spec.include)


def same_condition(one: str | None, other: str | None) -> bool:
    """Compare two conditions as text, whatever the parentheses, casts to text and quotes of the server's own form."""
    return one is not None and other is not None and _plain(one) == _plain(other)


def in_turns(groups: Iterable[Sequence[IndexSpec]]) -> list[IndexSpec]:
    """Return the specs of all groups, none twice, those of different first columns in turns.

    The first few of the list are then of different kinds: a bound on trials does not keep one kind out.
    """
    queues: dict[tuple[object, ...], list[IndexSpec]] = {}
    for group in groups:
        for spec in group:
            queue = queues.setdefault((spec.table, spec.keys[0].column, spec.predicate), [])
            if spec not in queue:
                queue.append(spec)
    longest = max(map(len, queues.values()), default=0)
    return [queue[place] for place in range(longest) for queue in queues.values() if place < len(queue)]


def without_prefixes(specs: Iterable[IndexSpec]) -> list[IndexSpec]:
    """Return the specs without those that a longer one of the same predicate makes superfluous, in their order.

    Two that differ in what they include alone become one, where that stays within the bound.
    """
    merged: list[IndexSpec] = []
    for spec in specs:
        twin = next((each for each in merged if _same_keys(each, spec)), None)
        if twin is None:
            merged.append(spec)
            continue
        include = (*twin.include, *(name for name in spec.include if name not in twin.include))
        if len(include) <= INCLUDE_MAX:
            merged[merged.index(twin)] = IndexSpec(twin.table, twin.keys, include, twin.predicate)
        elif len(spec.include) > len(twin.include):
            merged[merged.index(twin)] = spec
    return [spec for spec in merged if not any(_absorbs(other, spec) for other in merged if other is not spec)]


def estimated_bytes(spec: IndexSpec, table: Table, share: float = 1.0) -> int:
    """Return about how large the index will be, where its predicate holds for a ``share`` of the rows."""
    width = sum(table.columns[name].width_bytes for name in (*spec.columns, *spec.include))
    return int(table.rows * share * (width + _TUPLE_OVERHEAD_BYTES) / _FILL)


def _proposals(use: TableUse, table: Table) -> Iterator[IndexSpec]:
    states = [constant for constant in use.constants if _is_state(constant, table)]
    others = [constant.column for constant in use.constants if constant not in states and constant.is_equality]
    free = _by_selectivity([*use.equal, *others], table)
    equal = _by_selectivity([*free, *(constant.column for constant in states if constant.is_equality)], table)
    tails = list(_tails(use, table))
    for keys in _keys(free, use, table, tails) if states else ():
        for predicate in _predicates(states, keys):
            yield from _variants(IndexSpec(use.table, keys, predicate=predicate), use, table)
    for keys in _keys(equal, use, table, tails):
        yield from _variants(IndexSpec(use.table, keys), use, table)


def _is_state(constant: Constant, table: Table) -> bool:
    """Whether a constant can limit an index: of a column with many values the next call asks for another one."""
    return " = " not in constant.sql or 0 < table.columns[constant.column].distinct <= STATES_MAX


def _keys(
    equal: Sequence[str], use: TableUse, table: Table, tails: Sequence[tuple[Key, ...]]
) -> Iterator[tuple[Key, ...]]:
    """Yield lists of keys: equalities before one tail; those of a join before or behind the other equalities."""
    anyway = _by_selectivity(use.any_of, table)
    heads: list[list[str]] = []
    for joined in use.joined:
        heads += [[*equal, joined], [joined, *equal]]
    heads += [[*equal, *anyway], [*equal]] if equal or anyway else [[]]
    for head in heads:
        for tail in tails:
            keys = _distinct_keys([*map(Key, head), *tail])
            if keys and all(table.columns[key.column].width_bytes <= KEY_WIDTH_MAX_BYTES for key in keys):
                yield keys[:KEYS_MAX]


def _tails(use: TableUse, table: Table) -> Iterator[tuple[Key, ...]]:
    """Yield what may follow equalities: the order, then each range, then nothing."""
    if use.order and not use.any_of:
        yield use.order
    for column in _by_selectivity(use.ranges, table):
        yield (Key(column),)
    if use.any_of:
        yield tuple(Key(column) for column in _by_selectivity(use.any_of, table))
    yield ()


def _predicates(constants: Sequence[Constant], keys: Sequence[Key]) -> Iterator[str]:
    """Yield the predicate of a partial index; a column that it fixes need not be a key."""
    held = [constant for constant in constants if not constant.is_equality or constant.column not in _columns(keys)]
    if held:
        yield " AND ".join(sorted({constant.sql for constant in held}))


def _variants(spec: IndexSpec, use: TableUse, table: Table) -> Iterator[IndexSpec]:
    """Yield the spec, and one that covers the query, where that adds little."""
    yield spec
    rest = sorted(use.read - set(spec.columns) - _fixed(spec, use))
    if use.reads_all or not rest or len(rest) > INCLUDE_MAX:
        return
    if sum(table.columns[name].width_bytes for name in rest) <= INCLUDE_WIDTH_MAX_BYTES:
        yield IndexSpec(spec.table, spec.keys, tuple(rest), spec.predicate)


def _fixed(spec: IndexSpec, use: TableUse) -> set[str]:
    if spec.predicate is None:
        return set()
    return {constant.column for constant in use.constants if constant.sql in spec.predicate}


def _by_selectivity(columns: Iterable[str], table: Table) -> list[str]:
    """Order columns by how many values they have: such an index serves those who ask for its first column alone."""
    names = list(dict.fromkeys(columns))
    return sorted(names, key=lambda name: (-table.columns[name].distinct, name))


def _distinct_keys(keys: Iterable[Key]) -> tuple[Key, ...]:
    kept: dict[str, Key] = {}
    for key in keys:
        kept.setdefault(key.column, key)
    return tuple(kept.values())


def _columns(keys: Iterable[Key]) -> set[str]:
    return {key.column for key in keys}


def _same_keys(one: IndexSpec, other: IndexSpec) -> bool:
    return (one.table, one.keys, one.predicate) == (other.table, other.keys, other.predicate)


def _absorbs(longer: IndexSpec, shorter: IndexSpec) -> bool:
    covered = {*longer.columns, *longer.include}
    return (
        longer.table == shorter.table
        and longer.predicate == shorter.predicate
        and _is_prefix(shorter.keys, longer.keys)
        and covered.issuperset(shorter.include)
    )


def _is_prefix(short: Sequence[Key], long: Sequence[Key]) -> bool:
    """Whether each scan of the short one can be one of the long one, read forwards or backwards."""
    if len(short) > len(long):
        return False
    pairs = list(zip(short, long, strict=False))
    if any(one.column != other.column for one, other in pairs):
        return False
    return len({one.descending == other.descending for one, other in pairs}) <= 1


def _plain(condition: str) -> str:
    text = condition.replace("::text", "").replace('"', "")
    return "".join(letter for letter in text.lower() if letter not in "() ")
