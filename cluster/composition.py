"""Turns settings into what the processes of the gateway need. Called in each of them, so that no secret travels.

What needs more is composed beside this: the cache's actors, and tasks with the services behind them. So an actor loads
what it uses, and starts the sooner.
"""

from __future__ import annotations

import ray

from actors.cache.level2.sealing import derived_key, key_from_text
from actors.pool.database import Database
from actors.pool.replicas.client import ReplicaMonitorClient
from actors.pool.replicas.monitor import Servers
from actors.pool.replicas.watch import ServerWatch
from cluster.names import cluster_name, gateway_name
from cluster.settings import Settings, load_settings, runs_on_one_machine
from cluster.tracing_settings import tracing_config
from serve_app.config import LIVE_PROCESSOR, TEST_PROCESSOR, GatewayConfig

ACTOR_NAMESPACE = "easypay"

# Held, for a task that nobody holds may be collected.
_watches: list[ServerWatch] = []


def gateway_config() -> GatewayConfig:
    """Return the configuration of this process, from the settings of the gateway that it belongs to."""
    return compose(load_settings())


def database_url() -> str:
    """Return the URL of the gateway's role, which may end its own connections when a lease ran out."""
    return gateway_config().database_url


def owner_database_url() -> str:
    """Return the URL of the role that owns the tables: it alone may make indexes."""
    owner_url = load_settings().owner_url
    assert owner_url is not None, "the database is set"
    return owner_url.get_secret_value()


def database_servers() -> Servers:
    """Return where the database is."""
    config = gateway_config()
    return Servers(config.database_url, config.replica_urls)


def watched(database: Database) -> Database:
    """Give up its connections to a primary that was replaced, for as long as this process lives."""
    if database_servers().are_many():
        watch = ServerWatch(ReplicaMonitorClient(ACTOR_NAMESPACE), on_promotion=database.pool.renew)
        watch.start()
        _watches.append(watch)
    return database


def node_host() -> str:
    """Return the address by which the gateway's processes reach this machine: loopback, if it is the only one."""
    if runs_on_one_machine():
        return "127.0.0.1"
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address


def compose(settings: Settings) -> GatewayConfig:
    """Return what the gateway needs to know.

    Raises:
        SettingsError: the database or the pepper is not set.
    """
    settings.require("database_url", "api_key_pepper")
    assert settings.database_url is not None
    assert settings.api_key_pepper is not None
    return GatewayConfig(
        database_url=settings.database_url.get_secret_value(),
        replica_urls=tuple(url.get_secret_value() for url in settings.database_replica_urls),
        replica_lag_max_s=settings.database_replica_lag_max_s,
        replica_connections=settings.database_replica_pool_size,
        api_key_pepper=settings.api_key_pepper.get_secret_value().encode(),
        actor_namespace=ACTOR_NAMESPACE,
        processor_url=settings.processor_url.get_secret_value() if settings.processor_url else None,
        live_processor_url=settings.live_processor_url.get_secret_value() if settings.live_processor_url else None,
        processor_timeout_s=settings.processor_timeout_s,
        callback_secrets={
            name: secret.get_secret_value()
            for name, secret in (
                (TEST_PROCESSOR, settings.processor_callback_secret),
                (LIVE_PROCESSOR, settings.live_processor_callback_secret),
            )
            if secret is not None
        },
        authorization_lifetime_days=settings.authorization_lifetime_days,
        idempotency_key_hours=settings.idempotency_key_hours,
        # A backstop behind the admission of requests, which lets no more in than twice the workers it finds right.
        payments_in_flight_max=max(1000, 2 * settings.max_workers),
        queue_max=settings.max_queue_size,
        workers=settings.max_workers,
        cache_shards=settings.cache_shards,
        has_journals=settings.cache_shards > 0 and None not in (settings.redis_url, settings.sealing_key),
        near_cache_bytes=settings.near_cache_bytes,
        # Each one's part of a limit holds however many there are.
        replicas=settings.most_replicas,
        rate_limit_per_minute=settings.rate_limit_per_minute,
        rate_limit_unauthenticated_per_minute=settings.rate_limit_unauthenticated_per_minute,
        # Without a proxy that is trusted, every address may be that of one which forwards for many.
        rate_limit_address_per_minute=settings.rate_limit_address_per_minute if settings.trusted_proxies else 0,
        compression_enabled=settings.compression_enabled,
        webhook_key=_webhook_key(settings),
        webhook_allow_loopback=settings.webhook_allow_loopback,
        takes_live_keys=not settings.listens_publicly or settings.tls_certificate is not None,
        redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
        database_owner_url=settings.owner_url.get_secret_value() if settings.owner_url else None,
        gateway=gateway_name(settings),
        cluster=cluster_name(settings),
        log_level=settings.log_level,
        task_retention_days=settings.task_retention_days,
        maintenance_mode=settings.maintenance_mode,
        horizon_max_s=settings.maintenance_horizon_max_s,
        monitoring_enabled=settings.performance_monitoring_enabled,
        tracing=tracing_config(settings),
    )


def _webhook_key(settings: Settings) -> bytes | None:
    """Return the key of webhook secrets, apart from that of the cache; None where there is no key at all."""
    if settings.sealing_key is None:
        return None
    return derived_key(key_from_text(settings.sealing_key.get_secret_value()), "easypay webhook secrets")
