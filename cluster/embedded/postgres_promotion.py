"""Makes a replica of the embedded PostgreSQL the primary, while the gateway runs.

The replaced server is ended first: it takes no write after the new one took its first. The launcher starts it again,
and as the file of the primary names another one by then, as a replica.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from actors.pool.faults import DRIVER_ERRORS
from cluster.data_dir import DataDir
from cluster.embedded.account import servers_account
from cluster.embedded.postgres import connect, sockets_folder
from cluster.embedded.postgres_replication import keep_slots, promote
from cluster.embedded.postgres_servers import FIRST, PrimaryFile, ServerSet

# A stop in peace sends the replicas all there is; one that hangs is ended as if it had crashed.
_STOP_S = 10.0
_KILL_S = 5.0
_AWAY = (OSError, TimeoutError, *DRIVER_ERRORS)


class CannotPromote(Exception):
    """No server was promoted, and the primary is what it was; the text says why."""


class PromotionPending(Exception):
    """The server is named the primary and does not answer: the launcher starts it again, and then it is promoted."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion did, in seconds from its begin."""

    old: str
    new: str
    stopped_s: float
    writable_s: float


async def promote_embedded(data: DataDir, name: str | None = None) -> Promotion:
    """Make this replica, by default the one that has most of the log, the primary; return when it can be written to.

    Raises:
        CannotPromote: there is no replica, not this one, or it does not answer.
        PromotionPending: it stopped to answer when the old primary was ended already.
    """
    servers = _servers(data)
    old = servers.primary.read()
    new = await _chosen(data, servers, name)
    began = time.monotonic()
    # From here on there is no way back: the launcher may have begun to act on it. The old one starts as a replica, and
    # where this process dies the new one is promoted at its next start.
    servers.primary.write(new)
    try:
        await asyncio.to_thread(_end, data.path / old)
        stopped_s = time.monotonic() - began
        server = await connect(data, servers.sockets, servers.ports[new])
        try:
            await promote(server)
            writable_s = time.monotonic() - began
            await keep_slots(server, servers, new)
        finally:
            server.terminate()
    except _AWAY as fault:
        raise PromotionPending(f"{new} is not the primary yet ({type(fault).__name__})") from fault
    return Promotion(old, new, stopped_s, writable_s)


def _servers(data: DataDir) -> ServerSet:
    """Return the servers that have data, with the ports of the last start."""
    book: Mapping[str, tuple[int, int]] = json.loads(data.ports_file.read_text(encoding="utf-8"))
    names = [name for name in book if name.startswith(FIRST) and (data.path / name / "PG_VERSION").exists()]
    if len(names) < 2:
        raise CannotPromote("there is no replica: start the gateway with --db-replicas 1")
    ports = {name: book[name][0] for name in names}
    return ServerSet(ports, sockets_folder(data, servers_account()), PrimaryFile(data.postgres_primary_file))


async def _chosen(data: DataDir, servers: ServerSet, wanted: str | None) -> str:
    old = servers.primary.read()
    if wanted == old:
        raise CannotPromote(f"{old} is the primary")
    if wanted is not None and wanted not in servers.ports:
        raise CannotPromote(f"there is no server {wanted}: there are {', '.join(servers.ports)}")
    candidates = [wanted] if wanted is not None else servers.others(old)
    replayed = {name: await _received(data, servers, name) for name in candidates}
    found = {name: lsn for name, lsn in replayed.items() if lsn is not None}
    if not found:
        raise CannotPromote("no replica answers")
    return max(found, key=lambda name: (found[name], name))


async def _received(data: DataDir, servers: ServerSet, name: str) -> int | None:
    """Return how much of the log a replica has, None where it does not answer or is none."""
    sql = """
        SELECT (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::bigint WHERE pg_is_in_recovery()
    """
    try:
        server = await connect(data, servers.sockets, servers.ports[name])
    except _AWAY:
        return None
    try:
        found: int | None = await server.fetchval(sql)
        return found
    finally:
        server.terminate()


def _end(folder: Path) -> None:
    """End the server of a data folder, whatever that takes; return when it is gone."""
    try:
        pid = int((folder / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        process = psutil.Process(pid)
        # The number in the file may be left over from a server that was killed, and long be another's.
        if process.name() != "postgres" or process.cwd() != str(folder):
            return
    except (OSError, ValueError, psutil.Error):
        return
    for how, within_s in ((signal.SIGINT, _STOP_S), (signal.SIGQUIT, _KILL_S), (signal.SIGKILL, _KILL_S)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(how)
        with suppress(psutil.TimeoutExpired):
            process.wait(within_s)
            return
    raise TimeoutError(f"process {pid} does not end")
