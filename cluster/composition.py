"""Turns settings into what the processes of the gateway need. Called in each of them, so that no secret travels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b

import ray

from actors.breaker.client import BreakerBoardClient
from actors.cache.level2.journal import Journal
from actors.cache.level2.redis_level import RedisLevel
from actors.cache.level2.sealing import Sealer, derived_key, key_from_text
from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.scheduler.registry import Registry
from actors.scheduler.store import PLANNER_SETTINGS, STATEMENT_TIMEOUT_S
from cluster.redis_breakers import ToldRedisLevel
from cluster.settings import Settings, load_settings, runs_on_one_machine
from serve_app.caching.epochs import StoredEpochs
from serve_app.caching.rings import StoredRings
from serve_app.caching.sink import StoredSink
from serve_app.config import LIVE_PROCESSOR, TEST_PROCESSOR, GatewayConfig
from serve_app.logs import configure_logging
from serve_app.services import Services
from serve_app.tasks.registry import registry
from serve_app.write_behind import APPLIERS

ACTOR_NAMESPACE = "easypay"
_TASK_WORKER_CONNECTIONS = 4
_SCHEDULER_CONNECTIONS = 2
_TASK_DRAIN_S = 10.0


def gateway_config() -> GatewayConfig:
    """Return the configuration of this process, from the settings of the gateway that it belongs to."""
    return compose(load_settings())


def database_url() -> str:
    """Return the URL of the gateway's role, which may end its own connections when a lease ran out."""
    return gateway_config().database_url


def cache_epochs(shard: str) -> StoredEpochs:
    """Return the epochs of a shard of that name."""
    return StoredEpochs(database_url, shard)


def cache_rings(gateway: str) -> StoredRings:
    """Return the ring of cache shards of a gateway."""
    return StoredRings(database_url, gateway)


def cache_level() -> RedisLevel | None:
    """Return the Redis that a shard of the cache uses, None where there is none."""
    settings = load_settings()
    if settings.redis_url is None or settings.sealing_key is None:
        return None
    key = key_from_text(settings.sealing_key.get_secret_value())
    url = settings.redis_url.get_secret_value()
    board = BreakerBoardClient(ACTOR_NAMESPACE)
    return ToldRedisLevel(url, Sealer(key), board, pool_size=settings.redis_pool_size)


def cache_write_behind(journal: str) -> tuple[Journal, StoredSink] | None:
    """Return the journal of that name with its sink, None where there is no Redis to keep it."""
    settings = load_settings()
    if settings.redis_url is None or settings.sealing_key is None:
        return None
    sealer = Sealer(key_from_text(settings.sealing_key.get_secret_value()))
    return (
        Journal(settings.redis_url.get_secret_value(), sealer, name=journal),
        StoredSink(_open_sink_database, journal, APPLIERS),
    )


async def _open_sink_database() -> Database:
    manager = PoolManagerClient(ACTOR_NAMESPACE)
    return await Database.open(database_url(), name="cache-sink", manager=manager, want=1)


def task_registry() -> Registry[Services]:
    """Return the functions that run as tasks."""
    return registry


@asynccontextmanager
async def task_services() -> AsyncIterator[Services]:
    """Open what tasks work with."""
    configure_logging()
    services = await Services.open(gateway_config(), name="task-worker", connections=_TASK_WORKER_CONNECTIONS)
    try:
        yield services
        await services.drain(_TASK_DRAIN_S)
    finally:
        await services.close()


async def open_task_database() -> Database:
    """Open the database as the task scheduler uses it."""
    return await Database.open(
        database_url(),
        name="task-scheduler",
        manager=PoolManagerClient(ACTOR_NAMESPACE),
        want=_SCHEDULER_CONNECTIONS,
        command_timeout_s=STATEMENT_TIMEOUT_S,
        settings=PLANNER_SETTINGS,
    )


def node_host() -> str:
    """Return the address by which the gateway's processes reach this machine: loopback, if it is the only one."""
    if runs_on_one_machine():
        return "127.0.0.1"
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address


def gateway_name(settings: Settings) -> str:
    """Return a name that this gateway's processes share and no other gateway has: connections are told apart by it."""
    assert settings.api_key_pepper is not None, "API_KEY_PEPPER is set"
    pepper = settings.api_key_pepper.get_secret_value().encode()
    return f"easypay-{blake2b(pepper, digest_size=4, person=b'gateway').hexdigest()}"


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
        replicas=settings.http_replicas,
        rate_limit_per_minute=settings.rate_limit_per_minute,
        rate_limit_unauthenticated_per_minute=settings.rate_limit_unauthenticated_per_minute,
        # Without a proxy that is trusted, every address may be that of one which forwards for many.
        rate_limit_address_per_minute=settings.rate_limit_address_per_minute if settings.trusted_proxies else 0,
        compression_enabled=settings.compression_enabled,
        webhook_key=_webhook_key(settings),
        webhook_allow_loopback=settings.webhook_allow_loopback,
        takes_live_keys=not settings.listens_publicly or settings.tls_certificate is not None,
    )


def _webhook_key(settings: Settings) -> bytes | None:
    """Return the key of webhook secrets, apart from that of the cache; None where there is no key at all."""
    if settings.sealing_key is None:
        return None
    return derived_key(key_from_text(settings.sealing_key.get_secret_value()), "easypay webhook secrets")
