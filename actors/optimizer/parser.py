"""Reads statements as `pg_stat_statements` and `pg_stat_activity` show them.

sqlglot and not PostgreSQL's own grammar (pglast): that one is under the GPL, which a gateway under the Apache licence
cannot ask of who runs it. Where sqlglot misreads a statement no harm is done: the server itself parses all that is run
there, and keeps an index by what it measures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from actors.optimizer.catalog import Catalog, Key, Table
from actors.optimizer.shape import Constant, NotUnderstood, Parameter, Role, Shape, TableUse

STATEMENT_LENGTH_MAX = 20_000
_PARAMETER = re.compile(r"\$(\d+)")
# `interval '1 day'` is shown as `interval $1`, which is no SQL.
_TYPED_PARAMETER = re.compile(r"\b(interval|date|timestamptz|timestamp|time)\s+(\$\d+)", re.IGNORECASE)
_CALL = re.compile(r'("(?:[^"]|"")+"|[^\W\d][\w$]*)\s*\(')
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
# What else there is are utility statements; sqlglot would take them as text, and say so in the log.
_STATEMENT = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*\(*(select|with|values|insert|update|delete|merge)\b",
    re.IGNORECASE | re.DOTALL,
)
_COMPARISONS = (exp.GT, exp.GTE, exp.LT, exp.LTE)
_MIRRORED_COMPARISONS = (exp.EQ, *_COMPARISONS)
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into, exp.Lock, exp.Command, exp.Create, exp.Drop)


def readable(text: str) -> str:
    """Return a statement of `pg_stat_statements` as SQL that a server takes again."""
    return _TYPED_PARAMETER.sub(r"(\2)::\1", text)


def parse(text: str, catalog: Catalog) -> Shape:
    """Return what a statement asks for.

    Raises:
        NotUnderstood: it is too long, or the parser does not take it.
    """
    tree = statement_of(text)
    if tree is None or not isinstance(tree, exp.Query) or tree.find(*_WRITES) is not None:
        return Shape(is_read=False)
    try:
        return _Reader(catalog).read(tree, _functions(text))
    except (SqlglotError, RecursionError) as error:
        raise NotUnderstood(type(error).__name__) from error


def statement_of(text: str) -> exp.Expr | None:
    """Return the tree of one statement of data, None for any other (VACUUM, EXPLAIN, ...). Raises ``NotUnderstood``."""
    if len(text) > STATEMENT_LENGTH_MAX:
        raise NotUnderstood(f"longer than {STATEMENT_LENGTH_MAX} characters")
    if _STATEMENT.match(text) is None:
        return None
    # The space keeps `$1,$2` from being read as a quote that begins with `$1,$`; no tag of a quote begins with a digit.
    spaced = _PARAMETER.sub(r"$\1 ", readable(text))
    try:
        trees = [tree for tree in sqlglot.parse(spaced, dialect="postgres") if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise NotUnderstood(type(error).__name__) from error
    if len(trees) != 1:
        raise NotUnderstood("not one statement")
    return trees[0]


def folded(identifier: exp.Expr) -> str:
    """Return a name as the server's catalogue has it."""
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()


def _functions(text: str) -> frozenset[str]:
    """Return every name before a parenthesis: rather a word too many than a function that is not looked up."""
    names = _CALL.findall(_COMMENT.sub(" ", text))
    return frozenset(name[1:-1].replace('""', '"') if name.startswith('"') else name.lower() for name in names)


class _Reader:
    """Collects the uses of tables of one query, its subqueries included."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._uses: list[TableUse] = []
        self._parameters: dict[int, Parameter] = {}
        self._unknown = False

    def read(self, tree: exp.Query, functions: frozenset[str]) -> Shape:
        for scope in traverse_scope(tree):
            if isinstance(scope.expression, exp.Select):
                self._read_scope(scope)
        for node in tree.find_all(exp.Parameter):
            self._parameters.setdefault(int(node.name), Parameter(Role.UNKNOWN))
        limit = tree.args.get("limit")
        return Shape(
            is_read=True,
            uses=tuple(self._uses),
            parameters=dict(sorted(self._parameters.items())),
            functions=functions,
            is_limited=limit is not None,
            reads_unknown=self._unknown,
        )

    def _read_scope(self, scope: Scope) -> None:
        select = scope.expression
        assert isinstance(select, exp.Select), "the caller has looked"
        tables: dict[str, tuple[int, Table]] = {}
        for alias, source in scope.sources.items():
            if not isinstance(source, exp.Table):
                continue
            table = self._catalog.find(source.db, source.name) if isinstance(source.this, exp.Identifier) else None
            if table is None:
                self._unknown = True
                continue
            tables[alias] = (len(self._uses), table)
            self._uses.append(TableUse(table.name))
        names = _Names(tables)
        self._note_columns(select, names)
        for condition in _conditions(select):
            self._note_condition(condition, names)
        self._note_order(select, names)
        for clause, role in (("limit", Role.LIMIT), ("offset", Role.OFFSET)):
            node = select.args.get(clause)
            number = _parameter(node.expression) if node is not None else None
            if number is not None:
                self._parameters[number] = Parameter(role)

    def _note_columns(self, select: exp.Select, names: _Names) -> None:
        for column in select.find_all(exp.Column):
            if isinstance(column.this, exp.Star):
                for use in names.uses(column.table):
                    self._uses[use].reads_all = True
                continue
            found = names.resolve(column)
            if found is not None:
                self._uses[found[0]].read.add(found[1])
        if any(isinstance(item, exp.Star) for item in select.expressions):
            for use in names.uses(""):
                self._uses[use].reads_all = True

    def _note_condition(self, condition: exp.Expr, names: _Names) -> None:
        constant = _constant(condition, names)
        if constant is not None:
            use, found = constant
            self._uses[use].constants.append(found)
            return
        if isinstance(condition, exp.Paren):
            for part in _conjuncts(condition.this):
                self._note_condition(part, names)
            return
        if isinstance(condition, exp.Between):
            self._note_comparison(condition.this, condition.args["low"], names, is_equality=False)
            self._note_comparison(condition.this, condition.args["high"], names, is_equality=False)
        elif isinstance(condition, exp.In):
            self._note_in(condition, names)
        elif isinstance(condition, _MIRRORED_COMPARISONS):
            left, right = condition.this, condition.expression
            is_equality = isinstance(condition, exp.EQ)
            if not is_equality and isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
                # (a, b) > ($1, $2): a range over the first; the rest refines it.
                for one, other in zip(left.expressions, right.expressions, strict=False):
                    self._note_comparison(one, other, names, is_equality=False)
                return
            self._note_comparison(left, right, names, is_equality=is_equality)
            self._note_comparison(right, left, names, is_equality=is_equality)

    def _note_comparison(self, side: exp.Expr, other: exp.Expr, names: _Names, *, is_equality: bool) -> None:
        found = names.resolve(side)
        if found is None:
            return
        position, column = found
        use = self._uses[position]
        if isinstance(other, exp.Any) and is_equality:
            _add(use.any_of, column)
            self._bind(other, position, column, Role.VALUES)
            return
        inside = {resolved[0] for node in other.find_all(exp.Column) if (resolved := names.resolve(node))}
        if position in inside or other.find(exp.Query) is not None:
            return
        self._bind(other, position, column, Role.VALUE)
        if not is_equality:
            _add(use.ranges, column)
        elif inside:
            _add(use.joined, column)
        else:
            _add(use.equal, column)

    def _note_in(self, condition: exp.In, names: _Names) -> None:
        found = names.resolve(condition.this)
        if found is None:
            return
        position, column = found
        if condition.args.get("query") is not None:
            _add(self._uses[position].joined, column)
            return
        _add(self._uses[position].any_of, column)
        for item in condition.expressions:
            self._bind(item, position, column, Role.VALUE)

    def _bind(self, node: exp.Expr, use: int, column: str, role: Role) -> None:
        inner = node.this if isinstance(node, exp.Any) else node
        number = _parameter(inner)
        if number is not None:
            self._parameters.setdefault(number, Parameter(role, use, column))

    def _note_order(self, select: exp.Select, names: _Names) -> None:
        order = select.args.get("order")
        if order is None or select.args.get("group") is not None or select.args.get("distinct") is not None:
            return
        keys: list[Key] = []
        owners: set[int] = set()
        for item in order.expressions:
            found = names.resolve(item.this)
            if found is None:
                return
            descending = bool(item.args.get("desc"))
            # An index has nulls last when ascending and first when descending; another order it cannot give.
            if bool(item.args.get("nulls_first")) != descending:
                return
            owners.add(found[0])
            keys.append(Key(found[1], descending))
        if len(owners) == 1:
            self._uses[owners.pop()].order = tuple(keys)


class _Names:
    """Finds the table of a column in one scope."""

    def __init__(self, tables: dict[str, tuple[int, Table]]) -> None:
        self._tables = tables

    def uses(self, alias: str) -> Iterator[int]:
        for name, (use, _) in self._tables.items():
            if not alias or name == alias:
                yield use

    def resolve(self, node: exp.Expr) -> tuple[int, str] | None:
        """Return the use and the column, None where it is no plain column of a table of this scope."""
        if isinstance(node, exp.Paren):
            return self.resolve(node.this)
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            return None
        name = folded(node.this)
        if node.table:
            found = self._tables.get(node.table)
            return (found[0], name) if found is not None and name in found[1].columns else None
        owners = [(use, name) for use, table in self._tables.values() if name in table.columns]
        return owners[0] if len(owners) == 1 else None


def _conditions(select: exp.Select) -> Iterator[exp.Expr]:
    where = select.args.get("where")
    if where is not None:
        yield from _conjuncts(where.this)
    for join in select.args.get("joins") or ():
        if join.args.get("on") is not None and join.side not in ("FULL",):
            yield from _conjuncts(join.args["on"])


def _conjuncts(node: exp.Expr) -> Iterator[exp.Expr]:
    yield from node.flatten() if isinstance(node, exp.And) else (node,)


def _constant(condition: exp.Expr, names: _Names) -> tuple[int, Constant] | None:
    """Return a condition on one column of one table that no parameter changes, in a form for the index's WHERE."""
    if condition.find(exp.Parameter, exp.Query, exp.Func) is not None:
        return None
    resolved = [names.resolve(column) for column in condition.find_all(exp.Column)]
    if len(resolved) != 1 or resolved[0] is None:
        return None
    inner = condition.this if isinstance(condition, exp.Not) else condition
    if isinstance(inner, exp.Column):
        is_equality = True
    elif isinstance(inner, exp.Is):
        # `IS NOT NULL` is true of nearly all rows of most columns: it limits an index, and orders nothing.
        is_equality = not isinstance(condition, exp.Not) and not isinstance(inner.expression, exp.Not)
    elif isinstance(condition, exp.EQ | exp.NEQ) and isinstance(condition.expression, exp.Literal | exp.Cast):
        is_equality = isinstance(condition, exp.EQ)
    elif isinstance(condition, exp.In) and condition.args.get("query") is None:
        is_equality = False
    else:
        return None
    use, column = resolved[0]
    return use, Constant(column, _unqualified(condition).sql(dialect="postgres"), is_equality)


def _unqualified(condition: exp.Expr) -> exp.Expr:
    def plain(node: exp.Expr) -> exp.Expr:
        return exp.column(exp.to_identifier(folded(node.this), quoted=True)) if isinstance(node, exp.Column) else node

    return condition.copy().transform(plain)


def _parameter(node: exp.Expr | None) -> int | None:
    """Return the number of a parameter that stands alone, or under casts and parentheses."""
    while isinstance(node, exp.Cast | exp.Paren):
        node = node.this
    if isinstance(node, exp.Parameter) and node.name.isdigit():
        return int(node.name)
    return None


def _add(columns: list[str], column: str) -> None:
    if column not in columns:
        columns.append(column)
