"""The hosts of a PostgreSQL URL. Source: PostgreSQL manual, 34.1.1.3 (specifying multiple hosts)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice
from urllib.parse import parse_qs, unquote, urlsplit

_PORT = 5432
_WRITABLE = frozenset({"read-write", "primary"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one server listens: a host, or the folder of its Unix socket."""

    host: str
    port: int

    @property
    def name(self) -> str:
        """The server's name in metrics and logs."""
        if self.host.startswith("/"):
            return f"socket:{self.port}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoints(url: str) -> tuple[Endpoint, ...]:
    """Return the servers in the URL's order; none where it leaves them to the driver's defaults.

    Raises:
        ValueError: a port is no number, or there are neither one nor as many ports as hosts.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    listed = parts.netloc.rpartition("@")[2]
    if listed:
        return tuple(_endpoint(item) for item in listed.split(","))
    if "host" not in query:
        return ()
    hosts = query["host"][-1].split(",")
    ports = [int(port) for port in query.get("port", [str(_PORT)])[-1].split(",")]
    if len(ports) not in (1, len(hosts)):
        raise ValueError("it takes one port, or as many as there are hosts")
    return tuple(Endpoint(host, port) for host, port in zip(hosts, islice(cycle(ports), len(hosts)), strict=True))


def wants_primary(url: str) -> bool:
    """Say whether the URL asks for a server that can be written to."""
    return parse_qs(urlsplit(url).query).get("target_session_attrs", ["any"])[-1] in _WRITABLE


def _endpoint(item: str) -> Endpoint:
    host, bracket, rest = item.rpartition("]")
    if bracket:
        return Endpoint(host.removeprefix("["), int(rest.removeprefix(":") or _PORT))
    name, _, port = item.partition(":")
    return Endpoint(unquote(name), int(port or _PORT))
