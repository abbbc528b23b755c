"""Put together what one gateway on this machine consists of, from its settings and its data directory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from actors.pool.clusters.register import sign_off
from actors.pool.faults import DRIVER_ERRORS
from actors.runtime.errors import ActorError
from cluster import bootstrapping, ray_head
from cluster.bootstrapping import Bootstrap
from cluster.data_dir import DataDir
from cluster.embedded import postgres, redis
from cluster.embedded.account import open_way, servers_account
from cluster.embedded.postgres import EmbeddedPostgres, sockets_folder
from cluster.embedded.postgres_roles import Role
from cluster.embedded.postgres_servers import REPLICAS_MAX, PrimaryFile, ServerSet, server_names
from cluster.embedded.redis import EmbeddedRedis
from cluster.instance import marks
from cluster.names import cluster_name
from cluster.ports import PortBook
from cluster.processes import Child
from cluster.ray_head import RayHead, RayPorts, choose_ingress_ports
from cluster.settings import Settings, SettingsError
from cluster.spawning import Account

# What a person calls each child.
LABELS = {
    postgres.NAME: "PostgreSQL",
    **{f"{postgres.NAME}-{number}": f"PostgreSQL {number}" for number in range(2, REPLICAS_MAX + 2)},
    redis.NAME: "Redis",
    ray_head.NAME: "Ray",
    bootstrapping.NAME: "Gateway",
}


@dataclass(frozen=True, slots=True)
class LocalGateway:
    """Hold the children in the order of their start, and all that is known of the gateway before it runs."""

    settings: Settings
    children: Sequence[Child]
    bootstrap: Bootstrap
    ray: RayHead
    data: DataDir

    def remove_sockets(self) -> None:
        """Remove the folders of sockets that lie outside the data directory, once everything is down."""
        for folder in {*self.data.elsewhere, self.ray.ingress_sockets}:
            # Ray's folder holds its logs too, and those are worth most after a start that failed.
            if folder != self.ray.folder.parent:
                shutil.rmtree(folder, ignore_errors=True)

    async def sign_off(self) -> str | None:
        """Tell other clusters on the database that this one is down; return why that was not done, None where it was.

        Everything is down by then. They would wait for its lease to run out.
        """
        url = self.settings.database_url
        assert url is not None, "it is completed"
        try:
            done = await sign_off(url.get_secret_value(), cluster_name(self.settings))
        except (ActorError, OSError, *DRIVER_ERRORS) as error:
            return str(error)
        return None if done else "its connections do not end"

    def facts(self, pid: int) -> dict[str, Any]:
        """Return what `easypay up --json` prints; the keys are in it once the bootstrap has run."""
        return {
            "url": public_url(self.settings),
            "dashboard_url": self.ray.dashboard_url,
            "ray_address": self.ray.address,
            "ray_token_file": str(self.data.ray_token_file),
            "database_url": _reveal(self.settings.owner_url),
            "redis_url": _reveal(self.settings.redis_url),
            "pid": pid,
            "data_dir": str(self.data.path),
            **self.bootstrap.ready,
        }


def assemble(
    data: DataDir,
    settings: Settings,
    *,
    bootstrap_command: Sequence[str],
    on_step: Callable[[str, float], None],
    tell: Callable[[str], None],
) -> LocalGateway:
    """Choose ports, complete the settings and write them for Ray's processes; starts nothing.

    The caller holds the lock of the data directory. Raises SettingsError, NoAccount, NoFreePort, FileNotFoundError (no
    HAProxy).
    """
    book = PortBook(data.ports_file)
    servers = _embedded_servers(data, settings, book, tell)
    settings = _complete(data, settings, servers)
    settings.write(data.settings_file)
    ray = RayHead(
        data,
        settings,
        ports=RayPorts.choose(book),
        ingress_ports=choose_ingress_ports(book),
        marks=marks(data.instance, ray_head.NAME),
    )
    bootstrap = Bootstrap(
        data,
        needs=frozenset(server.plan.name for server in servers),
        command=bootstrap_command,
        environment=lambda: {**ray.driver_environment(), **marks(data.instance, bootstrapping.NAME)},
        on_step=on_step,
    )
    return LocalGateway(settings, [*servers, ray, bootstrap], bootstrap, ray, data)


def _embedded_servers(
    data: DataDir, settings: Settings, book: PortBook, tell: Callable[[str], None]
) -> list[EmbeddedPostgres | EmbeddedRedis]:
    if settings.database_url is not None and settings.database_replicas > 0:
        raise SettingsError(
            "DATABASE_REPLICAS: DATABASE_URL names a server; name its replicas in DATABASE_REPLICA_URLS"
        )
    wanted = {postgres.NAME: settings.database_url is None, redis.NAME: settings.redis_url is None}
    account = _prepare_account(data, tell) if any(wanted.values()) else None
    servers: list[EmbeddedPostgres | EmbeddedRedis] = []
    if wanted[postgres.NAME]:
        servers += postgres_servers(data, settings, book, account)
    if wanted[redis.NAME]:
        mark = marks(data.instance, redis.NAME)
        servers.append(EmbeddedRedis(data, port=book.port(redis.NAME), account=account, marks=mark))
    return servers


def postgres_servers(
    data: DataDir, settings: Settings, book: PortBook, account: Account | None
) -> list[EmbeddedPostgres]:
    """Return the primary and its replicas."""
    primary = PrimaryFile(data.postgres_primary_file)
    ports = {name: book.port(name) for name in server_names(settings.database_replicas, primary.read())}
    together = ServerSet(ports, sockets_folder(data, account), primary, settings.database_synchronous)
    return [
        EmbeddedPostgres(
            data,
            port=port,
            connections=settings.connection_budget,
            account=account,
            marks=marks(data.instance, name),
            name=name,
            servers=together,
        )
        for name, port in ports.items()
    ]


def _prepare_account(data: DataDir, tell: Callable[[str], None]) -> Account | None:
    account = servers_account()
    if account is not None:
        open_way(data.path, account, tell)
    return account


def _complete(data: DataDir, settings: Settings, servers: Sequence[EmbeddedPostgres | EmbeddedRedis]) -> Settings:
    values: dict[str, Any] = {}
    for server in servers:
        match server:
            case EmbeddedPostgres():
                values["database_url"] = server.url(Role.APP, by_socket=True)
                values["database_owner_url"] = server.url(Role.OWNER)
                values["database_replica_urls"] = tuple(server.replica_urls(Role.APP))
            case EmbeddedRedis():
                values["redis_url"] = server.url
    for name in ("api_key_pepper", "sealing_key"):
        if getattr(settings, name) is None:
            values[name] = data.secrets.ensure(name)
    if settings.cluster_name is None:
        values["cluster_name"] = data.instance
    return settings.with_values(**values)


def public_url(settings: Settings) -> str:
    """Return the URL under which this machine reaches the gateway."""
    scheme = "https" if settings.tls_certificate else "http"
    host = "127.0.0.1" if settings.http_host in ("0.0.0.0", "::") else settings.http_host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.http_port}"


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
