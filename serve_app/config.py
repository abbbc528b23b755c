"""What a process of the gateway needs to know. Composed in `cluster`, which alone reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from serve_app.tracing.config import TracingConfig

TEST_PROCESSOR = "acquirer"
LIVE_PROCESSOR = "live"
"""The names of the processors over HTTP, as payments and paths have them."""


LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The gateway's configuration; secrets are left out of its representation.

    `processor_url` is the processor of test payments: without one, the simulator in this process.
    `live_processor_url` is the processor of live payments: without one, live payments are refused.
    `callback_secrets` are those that processors sign their callbacks with, by the processor's name.
    `authorization_lifetime_days` after it was authorized a payment is voided; `idempotency_key_hours` after its answer
    a key is forgotten.
    `processor_timeout_s` is how long a processor may take over one attempt. `takes_live_keys` is false where keys could
    be read on the wire: on a public address without TLS. `cache_shards` is 0 where nothing is cached; else that many
    were configured, and it is the ring's keeper that knows how many there are. `has_journals`: whether the shards have
    journals in Redis; without them, what is written behind goes straight to the database. `replicas` share the rate
    limits, of which 0 is none: `rate_limit_per_minute` is that of each merchant without one of its own, the other that
    of all requests together whose key the process has not met yet, and `rate_limit_address_per_minute` that of those
    from one address, 0 also where nobody can be believed about addresses. `compression_enabled`: whether answers are
    compressed for the clients that accept it. `queue_max` requests may wait for their turn, `workers` are worked on at
    once; 0: as many as are found to be right. `webhook_key` seals the secrets of webhook endpoints: without one there
    are none. `webhook_allow_loopback`: webhooks may go to this machine, and in plain HTTP; for development.
    `replica_urls` are servers that may answer lists while they lag by `replica_lag_max_s` at most; a process holds up
    to `replica_connections` to each.
    `redis_url` is where operators' sessions are kept; without one, browsers keep them.
    `database_owner_url` is that of the role that owns the tables, where it is another one; `gateway` is what names of
    the gateway's connections begin with. `task_retention_days` after its end a task is forgotten. `maintenance_mode`
    says whether the database is looked after or only looked at; sessions of ours that keep dead rows for longer than
    `horizon_max_s` are ended. `monitoring_enabled`: whether processes measure what they do and tell the monitor.
    `tracing` says where traces go, None where they go nowhere. `log_level`: what is less than this is not logged.
    """

    database_url: str = field(repr=False)
    api_key_pepper: bytes = field(repr=False)
    actor_namespace: str
    processor_url: str | None = None
    live_processor_url: str | None = None
    processor_timeout_s: float = 5.0
    callback_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization_lifetime_days: int = 7
    idempotency_key_hours: int = 24
    connections_per_process: int = 8
    replica_urls: tuple[str, ...] = field(default=(), repr=False)
    replica_lag_max_s: float = 5.0
    replica_connections: int = 4
    payments_in_flight_max: int = 1000
    takes_live_keys: bool = True
    cache_shards: int = 0
    has_journals: bool = False
    near_cache_bytes: int = 64 * 1024 * 1024
    replicas: int = 1
    rate_limit_per_minute: int = 6000
    rate_limit_unauthenticated_per_minute: int = 6000
    rate_limit_address_per_minute: int = 0
    compression_enabled: bool = True
    queue_max: int = 1000
    workers: int = 0
    webhook_key: bytes | None = field(default=None, repr=False)
    webhook_allow_loopback: bool = False
    redis_url: str | None = field(default=None, repr=False)
    database_owner_url: str | None = field(default=None, repr=False)
    gateway: str = "easypay"
    cluster: str = "easypay"
    task_retention_days: int = 7
    maintenance_mode: Literal["auto", "watch"] = "auto"
    horizon_max_s: float = 600.0
    monitoring_enabled: bool = True
    tracing: TracingConfig | None = None
    log_level: LogLevel = "info"
