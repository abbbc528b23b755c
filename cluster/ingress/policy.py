"""What the ingress of one gateway listens on, whom it trusts, and how that reaches the launcher.

Standard library only, and no imports of ours: the launcher loads this file in a bare interpreter at each
reload.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from ipaddress import ip_network


@dataclass(frozen=True, slots=True)
class IngressPorts:
    """Name the ports that one gateway's ingress takes besides its public one; all are loopback only.

    Two gateways on one machine need disjoint sets: `starting_at` makes one from a single number.
    """

    stats: int = 8404
    metrics: int = 9101
    fallback: int = 8500
    replicas_first: int = 30000
    replicas_last: int = 30099

    @classmethod
    def starting_at(cls, first: int, *, replicas: int = 100) -> IngressPorts:
        """Lay the ports out in one block: three for the servers, then `replicas` for Serve replicas."""
        return cls(
            stats=first,
            metrics=first + 1,
            fallback=first + 2,
            replicas_first=first + 3,
            replicas_last=first + 2 + replicas,
        )


@dataclass(frozen=True, slots=True)
class IngressOptions:
    """Say how the public side of the ingress differs from what Serve was told.

    `listen`: address of the public bind, such as "0.0.0.0" or "::"; None keeps the host of Serve's
    http_options. With Serve on 127.0.0.1 and `listen` public, replicas and the fallback proxy stay
    unreachable from outside.
    `trusted_proxies`: networks (CIDR) of load balancers whose X-Forwarded-For and X-Forwarded-Proto are
    believed.
    `certificate`: path of a PEM file (chain and key) with which the public bind speaks TLS.
    `replica_requests_max`: how many requests one replica has at a time; more wait at the ingress for a second.
    """

    listen: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    certificate: str | None = None
    replica_requests_max: int = 2048

    def __post_init__(self) -> None:
        for network in self.trusted_proxies:
            ip_network(network)
        for value in (self.listen, self.certificate):
            if value is not None and (not value or any(c.isspace() or c in "\"'\\#" for c in value)):
                raise ValueError(f"{value!r} cannot stand in an HAProxy configuration")


@dataclass(frozen=True, slots=True)
class HardeningPolicy:
    """Carry everything that hardening needs to know; bounds in seconds."""

    stats_port: int
    metrics_port: int
    listen: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    certificate: str | None = None
    # Whole request head plus the first buffer of the body. A drip of a byte a second ends here.
    request_timeout_s: int = 15
    # Silence on a connection in the middle of a request or an answer.
    client_timeout_s: int = 60
    # Must exceed the application's own deadline of 30 s: whoever waits longer gets the application's answer.
    server_timeout_s: int = 60
    # Silence between requests. Shorter than the replicas' 90 s, so that HAProxy closes first.
    keep_alive_timeout_s: int = 30
    # Whoever has not come to a replica by then is told to come again.
    queue_timeout_s: int = 1
    replica_requests_max: int = 2048
    # Separate from the check interval: a replica whose loop is busy for a second is slow, not dead.
    check_timeout_s: int = 5

    def to_json(self) -> str:
        """Write the policy as one line of JSON, the launcher's first argument."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> HardeningPolicy:
        """Read what `to_json` wrote; raise ValueError for an unknown or missing member."""
        values = json.loads(text)
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not values.keys() <= known:
            raise ValueError("not an ingress policy")
        values["trusted_proxies"] = tuple(values.get("trusted_proxies", ()))
        return cls(**values)
