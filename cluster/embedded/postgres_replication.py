"""What a primary and its replicas agree on, in statements of a superuser. Each is safe to repeat."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from cluster.embedded.postgres_servers import ServerSet, slot_name

_PROMOTE_S = 20.0
_SLOTS = (
    "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' AND starts_with(slot_name, 'replica_')"
)

_DROP_LOST = """
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE starts_with(slot_name, 'replica_') AND wal_status = 'lost' AND NOT active
"""
_DROP_SLOT = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active"


@dataclass(frozen=True, slots=True)
class Position:
    """What a stopped standby has for certain: all up to a position of a timeline."""

    timeline: int
    lsn: int

    @classmethod
    def of_control_data(cls, text: str) -> Position:
        """Return what `pg_controldata` says of a standby."""
        values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
        replayed = parse_lsn(values["Minimum recovery ending location"])
        checkpoint = parse_lsn(values["Latest checkpoint's REDO location"])
        ending, latest = values["Min recovery ending loc's timeline"], values["Latest checkpoint's TimeLineID"]
        return cls(max(int(ending), int(latest)), max(replayed, checkpoint))


async def promote(server: asyncpg.Connection) -> None:
    """Make a standby the primary, and return when it is.

    Raises:
        TimeoutError: it is none after 20 s.
    """
    if not await server.fetchval("SELECT pg_is_in_recovery()"):
        return
    # False where the time was over; what it was waiting for may still come.
    if not await server.fetchval(f"SELECT pg_promote(true, {_PROMOTE_S:.0f})", timeout=2 * _PROMOTE_S):
        raise TimeoutError(f"the server is no primary after {_PROMOTE_S:g} s")
    # Its replicas have yet to come: until the first has, there is nobody to wait for.
    await confirm_with(server, ())


async def keep_slots(server: asyncpg.Connection, servers: ServerSet, name: str) -> None:
    """Keep the log for every other server, and for nobody else. One that lost its log gets a new slot."""
    await server.fetch(_DROP_LOST)
    wanted = {slot_name(other) for other in servers.others(name)}
    found = {row["slot_name"] for row in await server.fetch(_SLOTS)}
    for slot in sorted(wanted - found):
        # The replica may make it at the same moment.
        with suppress(asyncpg.DuplicateObjectError):
            await server.fetchval("SELECT pg_create_physical_replication_slot($1, true)", slot)
    for slot in sorted(found - wanted):
        await server.fetchval(_DROP_SLOT, slot)


async def can_follow(primary: asyncpg.Connection, standing: Position) -> bool:
    """Say whether the primary has all the log that a replica may yet have to get, and their histories are one."""
    # It may have received more than it has replayed, and never asks for less.
    sql = "SELECT EXISTS (SELECT FROM pg_ls_waldir() WHERE right(name, 16) = right(pg_walfile_name($1), 16))"
    if not await primary.fetchval(sql.replace("$1", f"'{format_lsn(standing.lsn)}'::pg_lsn")):
        return False
    left_at = await _left_at(primary, standing.timeline)
    return left_at is None or standing.lsn <= left_at


async def _left_at(primary: asyncpg.Connection, timeline: int) -> int | None:
    """Return where the primary's history left a timeline, None where it is on it."""
    sql = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"
    current = await primary.fetchval(sql)
    if timeline == current:
        return None
    # Source: PostgreSQL manual, 25.3.6 (timelines). A line: the timeline, where it was left, why.
    history: str = await primary.fetchval(f"SELECT pg_read_file('pg_wal/{current:08X}.history')")
    for line in history.splitlines():
        parts = line.split()
        if len(parts) >= 2 and parts[0] == str(timeline):
            return parse_lsn(parts[1])
    return 0


def parse_lsn(text: str) -> int:
    """Return a position of the log as a number of bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(lsn: int) -> str:
    """Return a position of the log as the server writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


async def is_streaming(primary: asyncpg.Connection, name: str) -> bool:
    """Say whether a replica follows, and has all but what is on its way."""
    sql = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming')"
    return bool(await primary.fetchval(sql, name))


async def lost_log(primary: asyncpg.Connection, name: str) -> bool:
    """Say whether the primary gave up keeping the log for a replica."""
    sql = "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND wal_status = 'lost')"
    return bool(await primary.fetchval(sql, slot_name(name)))


async def confirm_with(primary: asyncpg.Connection, names: tuple[str, ...]) -> None:
    """Acknowledge a commit once any one of these replicas has it on disk; without names, once the primary has."""
    # Names are ours; a utility command takes no parameters.
    quoted = ", ".join(f'"{name}"' for name in names)
    wanted = f"ANY 1 ({quoted})" if names else ""
    if await primary.fetchval("SHOW synchronous_standby_names") == wanted:
        return
    await primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{wanted}'")
    await primary.fetchval("SELECT pg_reload_conf()")
