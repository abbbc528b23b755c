"""The gateway's statements, as its PostgreSQL server counts them."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.embedded.postgres_roles import Role
from tests.bench.database import fetch_row

# Transaction control is counted with the rest: it is a round trip as well. The finds are those of reads, of which one
# statement takes many, and those of writers, which never ask the cache.
_STATEMENTS = """
SELECT coalesce(sum(calls), 0)::bigint AS calls,
       coalesce(sum(calls) FILTER (WHERE query LIKE $2), 0)::bigint AS finds,
       coalesce(sum(rows) FILTER (WHERE query LIKE $2), 0)::bigint AS found
FROM pg_stat_statements JOIN pg_roles ON pg_roles.oid = userid WHERE rolname = $1
"""
_FIND = "SELECT input.ordinal::int, payments.*%"


@dataclass(frozen=True, slots=True)
class Statements:
    """Hold the calls of all statements, the calls that find payments, and the payments that those found."""

    calls: int
    finds: int
    found: int

    def since(self, earlier: Statements) -> Statements:
        """Return what was added since an earlier reading."""
        return Statements(self.calls - earlier.calls, self.finds - earlier.finds, self.found - earlier.found)


def read_statements(url: str) -> Statements:
    """Read the counters."""
    row = fetch_row(url, _STATEMENTS, Role.APP.value, _FIND)
    return Statements(row["calls"], row["finds"], row["found"])
