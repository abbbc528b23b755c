"""Timelines: each promotion of a standby begins a new one, so the server with a lower one has been replaced.

What is written on a server that was replaced is lost, or forks the ledger. So a process writes on no server whose
timeline is below the highest that it knows of for that database cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Standing:
    """What a server says of itself. ``lsn``: on a primary what is flushed, on a standby what it has replayed."""

    system: int
    in_recovery: bool
    timeline: int
    lsn: int


# A standby's timeline is what it streams or has replayed; without `pg_read_all_stats` the first of them is not seen,
# and the others are right from its next restartpoint on. With `synchronous_commit` off an acknowledged commit may not
# be flushed; inserted it is. The insert position itself may lie behind a page's header, where no replay stops.
_OWN_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"
_OWN_POSITION = """
    CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
    ELSE pg_current_wal_flush_lsn() END
"""
STANDING = f"""
SELECT (SELECT system_identifier FROM pg_control_system()) AS system,
    pg_is_in_recovery() AS in_recovery,
    CASE WHEN pg_is_in_recovery() THEN greatest(
        (SELECT received_tli FROM pg_stat_wal_receiver),
        (SELECT timeline_id FROM pg_control_checkpoint()),
        (SELECT min_recovery_end_timeline FROM pg_control_recovery()))
    ELSE {_OWN_TIMELINE} END AS timeline,
    (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
        ELSE {_OWN_POSITION} END - '0/0')::bigint AS lsn
"""
# Of these two none reads the control file. A server whose part they are not for says NULL.
PRIMARY_POSITION = f"""
SELECT CASE WHEN NOT pg_is_in_recovery() THEN {_OWN_TIMELINE} END AS timeline,
    CASE WHEN NOT pg_is_in_recovery() THEN ({_OWN_POSITION} - '0/0')::bigint END AS lsn
"""
REPLAYED = "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"


def standing(row: Any) -> Standing:
    """Return the row of ``STANDING``."""
    return Standing(row["system"], row["in_recovery"], row["timeline"], row["lsn"])


class Timelines:
    """The highest timeline seen of each database cluster, by its system identifier; none ever falls."""

    def __init__(self) -> None:
        self._highest: dict[int, int] = {}
        self._surveyed: set[frozenset[str]] = set()

    def highest(self, system: int) -> int:
        """Return the highest timeline seen, 0 where none was."""
        return self._highest.get(system, 0)

    def all(self) -> dict[int, int]:
        """Return the highest of each."""
        return dict(self._highest)

    def are_surveyed(self, servers: frozenset[str]) -> bool:
        """Say whether somebody has looked at all of these servers."""
        return servers in self._surveyed

    def surveyed(self, servers: frozenset[str]) -> None:
        """Take note that somebody has."""
        self._surveyed.add(servers)

    def learn(self, seen: dict[int, int]) -> bool:
        """Take note of what others have seen; return whether any of it is news."""
        news = {system: timeline for system, timeline in seen.items() if timeline > self.highest(system)}
        self._highest.update(news)
        return bool(news)

    def admits(self, server: Standing) -> bool:
        """Take note of a server, and say whether it may be written to as far as its timeline goes.

        A standby's timeline is not noted: it becomes that of the cluster when the standby is promoted.
        """
        if server.timeline < self.highest(server.system):
            return False
        if not server.in_recovery:
            self._highest[server.system] = server.timeline
        return True


# One for each process, and not one for each pool: what one connection has seen forbids the next one's server, whoever
# makes it. It is a fact about servers and holds no configuration; the system identifier keeps clusters apart.
SEEN = Timelines()
