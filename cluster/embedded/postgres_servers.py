"""Which embedded PostgreSQL servers there are, and which of them is the primary.

The first is `postgres`, those beside it `postgres-2` and so on. Which is the primary stands in a file: a promotion
changes it, and whoever starts a server obeys it, so that one that was replaced never starts as a primary again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cluster.embedded.postgres_roles import DATABASE
from cluster.private_file import write_private

FIRST = "postgres"
REPLICAS_MAX = 8


def server_names(replicas: int, primary: str) -> tuple[str, ...]:
    """Return the names of a primary and so many replicas, the primary first."""
    assert 0 <= replicas <= REPLICAS_MAX
    names = (FIRST, *(f"{FIRST}-{number}" for number in range(2, REPLICAS_MAX + 2)))
    return (primary, *[name for name in names if name != primary][:replicas])


class PrimaryFile:
    """Names the primary. Before the first promotion there is no file, and it is the first server."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> str:
        """Return the primary's name."""
        return self._file.read_text(encoding="utf-8").strip() if self._file.exists() else FIRST

    def write(self, name: str) -> None:
        """Name another one; it is on disk when this returns."""
        write_private(self._file, f"{name}\n")


@dataclass(frozen=True, slots=True)
class ServerSet:
    """Every server with its port, the primary of this start first, and the folder of their sockets."""

    ports: Mapping[str, int]
    sockets: Path
    primary: PrimaryFile
    synchronous: bool = False

    def others(self, name: str) -> tuple[str, ...]:
        """Return every server but one."""
        return tuple(other for other in self.ports if other != name)

    def url(self, user: str, password: str, *, by_socket: bool) -> str:
        """Return the URL that leads to the primary, whichever server that is."""
        ports = list(self.ports.values())
        wanted = "target_session_attrs=read-write" if len(ports) > 1 else ""
        if not by_socket:
            hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
            return f"postgresql://{user}:{password}@{hosts}/{DATABASE}" + (f"?{wanted}" if wanted else "")
        folder = quote(str(self.sockets), safe="")
        query = f"host={','.join([folder] * len(ports))}&port={','.join(map(str, ports))}"
        return f"postgresql://{user}:{password}@/{DATABASE}?{query}" + (f"&{wanted}" if wanted else "")

    def replica_urls(self, user: str, password: str) -> Sequence[str]:
        """Return a URL for each server, for any may be a replica; none where there is one server."""
        if len(self.ports) == 1:
            return ()
        folder = quote(str(self.sockets), safe="")
        return [f"postgresql://{user}:{password}@/{DATABASE}?host={folder}&port={p}" for p in self.ports.values()]


def slot_name(server: str) -> str:
    """Return the name of the slot that keeps a replica's log for it at the primary."""
    return f"replica_{server.replace('-', '_')}"


def source(servers: ServerSet, name: str, user: str, password: str) -> str:
    """Return the connection string by which a replica follows whichever server is the primary."""
    others = servers.others(name)
    hosts = ",".join(_quoted(str(servers.sockets)) for _ in others)
    ports = ",".join(str(servers.ports[other]) for other in others)
    return (
        f"host={hosts} port={ports} user={user} password={_quoted(password)}"
        f" application_name={name} target_session_attrs=read-write"
    )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'" if " " in escaped or "'" in escaped else escaped
