"""What the environment says about a gateway. The only module that reads it.

The launcher reads the environment once, adds what it started itself, and writes the result to a file that only
its user may read. Ray's processes find that file through `EASYPAY_SETTINGS_FILE`: a password in a runtime
environment would be shown by Ray's state API.
"""

from __future__ import annotations

import base64
import json
import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from actors.cache.sharding.stored import SHARDS_MAX
from actors.pool.windows import WeeklyWindow
from cluster.embedded.postgres_servers import REPLICAS_MAX
from cluster.private_file import write_private
from cluster.tracing_settings import TracingSettings
from serve_app.config import LogLevel
from serve_app.domain.money import AMOUNT_MINOR_MAX

SETTINGS_FILE_VARIABLE = "EASYPAY_SETTINGS_FILE"

# Replicas of one gateway at most: each has a port of the ingress, and leaves some to those that it takes over from.
REPLICAS_BOUND = 64

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class SettingsError(Exception):
    """A value of the environment is wrong or missing; the text names it and is fit to show."""


def _url_of(*schemes: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        if urlsplit(url.get_secret_value()).scheme not in schemes:
            raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return url

    return AfterValidator(check)


def check_secret(secret: str) -> None:
    """Raise ValueError where it is no secret of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64."""
    try:
        decoded = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        decoded = b""
    if not secret.startswith("whsec_") or not 24 <= len(decoded) <= 64:
        raise ValueError("must be whsec_ and 24 to 64 bytes in base64")


def _check_webhook_secret(secret: SecretStr) -> SecretStr:
    check_secret(secret.get_secret_value())
    return secret


# URLs hold passwords: as secrets they are never part of a message or a repr.
PostgresUrl = Annotated[SecretStr, _url_of("postgresql", "postgres")]
RedisUrl = Annotated[SecretStr, _url_of("redis", "rediss", "unix")]
HttpUrl = Annotated[SecretStr, _url_of("http", "https")]
WebhookSecret = Annotated[SecretStr, AfterValidator(_check_webhook_secret)]


class Settings(TracingSettings):
    """Hold every setting of one gateway. A field's name in upper case is its name in the environment."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # PostgreSQL. Without `database_url` the launcher starts a server and fills these in.
    database_url: PostgresUrl | None = None
    # A role that may create tables and databases; where it is not given, `database_url` must be able to.
    database_owner_url: PostgresUrl | None = None
    database_replica_urls: Annotated[tuple[PostgresUrl, ...], NoDecode] = ()
    # Together the connections that all processes of the gateway may hold.
    database_pool_size: PositiveInt = 20
    database_max_overflow: Annotated[int, Field(ge=0)] = 30
    # How far a replica may be behind to answer lists, and how many connections each process may hold to each replica.
    database_replica_lag_max_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    database_replica_pool_size: PositiveInt = 4
    # Replicas of the embedded server, and whether a commit is acknowledged only once one of them has it on disk.
    database_replicas: Annotated[int, Field(ge=0, le=REPLICAS_MAX)] = 0
    database_synchronous: bool = False

    # Each week the gateway leaves connections to who works on the server: "sun 03:00 30m 10" is from 03:00 UTC on for
    # 30 minutes, with 10 left to it ("daily" for every day, 0 connections: its work is held). Separated by commas.
    database_maintenance_windows: Annotated[tuple[str, ...], NoDecode] = ()

    # `auto`: vacuums, statistics and rebuilds of indexes by what the statistics say. `watch`: shown, and left alone.
    maintenance_mode: Literal["auto", "watch"] = "auto"
    # For how long a session of the gateway may keep dead rows from being removed before it is ended.
    maintenance_horizon_max_s: Annotated[float, Field(ge=60, le=86_400)] = 600.0

    # Tells this cluster from others on its database, and is the same in every run. The launcher gives one for each data
    # directory.
    cluster_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None

    redis_url: RedisUrl | None = None
    redis_pool_size: PositiveInt = 10

    # Shards of the cache, each with its bound of bytes, and what each process keeps near; 0 shards: nothing is cached.
    # A running gateway can be given another number, which holds over restarts until this one is changed.
    cache_shards: Annotated[int, Field(ge=0, le=SHARDS_MAX)] = 2
    cache_shard_bytes: Annotated[int, Field(ge=1024 * 1024)] = 128 * 1024 * 1024
    near_cache_bytes: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024

    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    # Two is where the prototype was quickest on two cores: 4,170 payments/s against 3,640 with one.
    http_replicas: PositiveInt = 2
    # Above `http_replicas`: as many as the load needs, from those to these. 0: always as many as those.
    http_replicas_max: Annotated[int, Field(ge=0, le=REPLICAS_BOUND)] = 0
    # Networks of load balancers whose X-Forwarded-For is believed.
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    # A PEM file with chain and key; with it the public port speaks TLS.
    tls_certificate: Path | None = None
    # Answers in gzip, br or zstd for clients that accept it. Off where a proxy in front of the gateway does it.
    compression_enabled: bool = True

    # Processes that run tasks, and for how many days what has ended is kept; dead letters ten times as long.
    task_workers: Annotated[int, Field(ge=1, le=64)] = 2
    task_retention_days: Annotated[int, Field(ge=1, le=365)] = 7

    # Looks for indexes that the workload lacks or pays for in vain: "advise" tells, "auto" makes and drops its own.
    query_optimizer: Literal["off", "advise", "auto"] = "auto"
    query_optimizer_interval_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 60

    processor_url: HttpUrl | None = None
    live_processor_url: HttpUrl | None = None
    processor_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    # What each signs its callbacks with (Standard Webhooks, `whsec_...`); without one its callbacks are not taken.
    processor_callback_secret: WebhookSecret | None = None
    live_processor_callback_secret: WebhookSecret | None = None

    # An authorization that was neither captured nor voided by then is voided: issuers let go of most within a week.
    authorization_lifetime_days: Annotated[int, Field(ge=1, le=365)] = 7
    # How long a key tells its answer, counted from the answer.
    idempotency_key_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 24

    performance_monitoring_enabled: bool = True
    # The utilisation of any bounded resource above which it alerts.
    performance_alert_threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    # Where alerts are posted as JSON when they fire and when they have resolved; they are in the log in any case.
    alert_webhook_url: HttpUrl | None = None
    max_queue_size: PositiveInt = 1000
    # 0: adaptive.
    max_workers: Annotated[int, Field(ge=0)] = 0
    # For each merchant; 0: no limit.
    rate_limit_per_minute: Annotated[int, Field(ge=0)] = 6000
    # For all requests together whose key is not known; 0: no limit.
    rate_limit_unauthenticated_per_minute: Annotated[int, Field(ge=0)] = 6000
    # For those of one address, of IPv6 a /64, with trusted proxies; 0: no limit.
    rate_limit_address_per_minute: Annotated[int, Field(ge=0)] = 600
    webhook_allow_loopback: bool = False
    # What a merchant without a fee schedule pays for each captured payment: a share, and a fixed amount in minor units.
    settlement_fee_basis_points: Annotated[int, Field(ge=0, le=10_000)] = 290
    settlement_fee_fixed_minor: Annotated[int, Field(ge=0, le=AMOUNT_MINOR_MAX)] = 30
    log_level: LogLevel = "info"

    # Keys the hashes under which API keys are stored. At least 32 bytes of text.
    api_key_pepper: Annotated[SecretStr, Field(min_length=32)] | None = None
    # Seals secrets at rest (AES-256): 32 bytes in URL-safe base64.
    sealing_key: Annotated[SecretStr, Field(min_length=43)] | None = None

    @field_validator("database_replica_urls", "database_maintenance_windows", "trusted_proxies", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_maintenance_windows")
    @classmethod
    def _check_windows(cls, windows: tuple[str, ...]) -> tuple[str, ...]:
        for window in windows:
            WeeklyWindow.parse(window)
        return windows

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)
        return networks

    @field_validator("tls_certificate")
    @classmethod
    def _check_file(cls, certificate: Path | None) -> Path | None:
        if certificate is not None and not certificate.is_file():
            raise ValueError("no such file")
        return certificate

    @model_validator(mode="after")
    def _check_replicas_have_primary(self) -> Self:
        if self.database_replica_urls and self.database_url is None:
            raise ValueError("DATABASE_REPLICA_URLS needs DATABASE_URL; the embedded server's are DATABASE_REPLICAS")
        if self.database_synchronous and self.database_replicas == 0:
            raise ValueError("DATABASE_SYNCHRONOUS needs DATABASE_REPLICAS: somebody has to confirm")
        return self

    @model_validator(mode="after")
    def _check_bounds_of_replicas(self) -> Self:
        if self.http_replicas_max and self.http_replicas_max < self.http_replicas:
            raise ValueError("HTTP_REPLICAS_MAX is less than HTTP_REPLICAS")
        return self

    @model_validator(mode="after")
    def _check_callbacks_have_a_processor(self) -> Self:
        # The simulator in the process tells its answers at once, and nothing later.
        for name in ("processor", "live_processor"):
            if getattr(self, f"{name}_callback_secret") is not None and getattr(self, f"{name}_url") is None:
                raise ValueError(f"{name.upper()}_CALLBACK_SECRET needs {name.upper()}_URL")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class gives the signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the command line first, then the environment, then `.env`."""
        return init_settings, env_settings, dotenv_settings

    @property
    def connection_budget(self) -> int:
        """The connections that all processes of the gateway may hold together at one server."""
        return self.database_pool_size + self.database_max_overflow

    @property
    def most_replicas(self) -> int:
        """How many processes serve HTTP at most."""
        return max(self.http_replicas, self.http_replicas_max)

    @property
    def owner_url(self) -> SecretStr | None:
        """The URL of a role that may migrate."""
        return self.database_owner_url or self.database_url

    @property
    def listens_publicly(self) -> bool:
        """Whether the HTTP port can be reached from other machines."""
        return self.http_host not in LOOPBACK_HOSTS

    def require(self, *names: str) -> Self:
        """Return self; raise SettingsError that names those of the settings that have no value."""
        missing = [name.upper() for name in names if getattr(self, name) is None]
        if missing:
            raise SettingsError(f"not set: {', '.join(missing)}")
        return self

    def with_values(self, **values: Any) -> Settings:
        """Return a copy with these values, checked; raise SettingsError."""
        return _checked(_Explicit, {**dict(self), **values})

    def write(self, file: Path) -> None:
        """Write all values, secrets in clear, to a file that only this user may read."""
        write_private(file, json.dumps({name: _plain(value) for name, value in self}, indent=1))


class _Explicit(Settings):
    """Settings that look at no environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class gives the signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def read_environment(**overrides: Any) -> Settings:
    """Read the environment and `.env`; an override that is not None wins. Raise SettingsError."""
    return _checked(Settings, {name: value for name, value in overrides.items() if value is not None})


def load_settings() -> Settings:
    """Return the settings of the gateway that this process belongs to; raise SettingsError.

    They come from the file that the launcher wrote, or, where none is named, from the environment.
    """
    file = os.environ.get(SETTINGS_FILE_VARIABLE)
    return read_settings(Path(file)) if file else read_environment()


def runs_on_one_machine() -> bool:
    """Whether a launcher started the gateway that this process belongs to: it starts all of it here."""
    return SETTINGS_FILE_VARIABLE in os.environ


def settings_folder() -> Path | None:
    """Return the folder of the file that the launcher wrote, None where no launcher started the gateway."""
    file = os.environ.get(SETTINGS_FILE_VARIABLE)
    return Path(file).parent if file else None


def ray_address() -> str | None:
    """Return the Ray that this process was started by, or told of, None where there is none."""
    return os.environ.get("RAY_ADDRESS")


def read_settings(file: Path) -> Settings:
    """Read what `Settings.write` wrote; the environment has no part in it. Raise SettingsError."""
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {error}") from error
    return _checked(_Explicit, values)


def _checked(kind: type[Settings], values: dict[str, Any]) -> Settings:
    try:
        return kind(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_describe(fault) for fault in error.errors())) from None


def _describe(fault: ErrorDetails) -> str:
    # Never the value: it may be a password, or a URL with one in it.
    name = str(fault["loc"][0]).upper() if fault["loc"] else ""
    message = fault["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if name else message


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return [_plain(item) for item in value]
        case Path():
            return str(value)
        case _:
            return value
