"""Puts the gateway together on a Ray that runs: migrates, creates the actors, deploys, waits until it serves.

A short-lived driver; everything that it starts is detached. Safe to repeat: what is there already stays, what is of
another version is replaced. Says each step on standard output as one JSON object a line. With `--when-input-ends` it
may be started before Ray: it joins when its standard input has ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, HTTPOptions

from cluster.bootstrapping import WHEN_INPUT_ENDS
from cluster.cli.client import is_ready
from cluster.composition import ACTOR_NAMESPACE, compose, gateway_config
from cluster.names import cluster_name
from cluster.private_file import write_private
from cluster.ring_composition import cache_rings
from cluster.settings import SETTINGS_FILE_VARIABLE, Settings, load_settings, runs_on_one_machine
from cluster.supervisor import start_supervisor
from cluster.topology import SUPERVISOR_NAME, cache_shards, desired_actors
from serve_app.autoscaling import predictive
from serve_app.deployment import APPLICATION, gateway
from serve_app.logs import STANDARD_ERROR, configure_logging
from serve_app.merchants.administration import create_key, is_valid_key
from serve_app.merchants.secrets import MERCHANT_SCOPES, Scope
from serve_app.storage.migrate import upgrade

_ACTORS_WITHIN_S = 60.0
_READY_WITHIN_S = 60.0
_POLL_S = 0.1
_DEFAULT_MERCHANT = "Example merchant"
_KEYS_FILE = "keys.json"


def main() -> None:
    """Run every step and say what came of it."""
    settings = load_settings()
    # What it says on standard output is for the launcher.
    configure_logging(settings.log_level, STANDARD_ERROR)
    with _step("database is migrated"):
        asyncio.run(_migrate(settings))
    with _step("API keys are there"):
        keys = asyncio.run(_keys(settings))
    if WHEN_INPUT_ENDS in sys.argv[1:]:
        with _step("Ray is there"):
            sys.stdin.read()
    with _step("joined Ray"):
        ray.init(
            address=os.environ.get("RAY_ADDRESS", "auto"),
            namespace=ACTOR_NAMESPACE,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    # Neither needs the other, and each leaves a processor idle while it waits.
    with _step("actors and Serve run"), ThreadPoolExecutor(1) as beside:
        serve_starts = beside.submit(_start_serve, settings)
        start_supervisor(
            desired_actors(settings),
            cache_shards(settings),
            SUPERVISOR_NAME,
            ACTOR_NAMESPACE,
            within_s=_ACTORS_WITHIN_S,
        )
        serve_starts.result()
    with _step("gateway is deployed"):
        application = gateway(gateway_config, replicas=scaling_of(settings))
        serve.run(application, name=APPLICATION, route_prefix="/")
    url = _url(settings)
    with _step("gateway serves"):
        _wait_until_ready(url)
    _say({"ready": {"url": url, **keys}})


@contextmanager
def _step(name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    _say({"step": name, "seconds": round(time.monotonic() - started, 2)})


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


async def _migrate(settings: Settings) -> None:
    config = compose(settings)
    owner_url = settings.owner_url
    assert owner_url is not None, "DATABASE_URL is set"
    await upgrade(owner_url.get_secret_value(), urlsplit(config.database_url).username or "")
    ring = cache_rings(cluster_name(settings))
    await (ring.configure(settings.cache_shards) if settings.cache_shards > 0 else ring.switch_off())


async def _keys(settings: Settings) -> dict[str, str]:
    """Return the example merchant's and the operator's keys, made at the first start and kept beside the data.

    One that the database does not take (it is another database, or the key was revoked) is made anew. On a cluster,
    which has no data directory, none are made: `easypay keys create` makes them.
    """
    if not runs_on_one_machine():
        return {}
    file = Path(os.environ[SETTINGS_FILE_VARIABLE]).parent.parent / _KEYS_FILE
    kept: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    merchant_scopes = [scope.value for scope in MERCHANT_SCOPES]
    wanted = {"api_key": merchant_scopes, "admin_key": [*merchant_scopes, Scope.ADMIN.value]}
    keys = {name: await _key(settings, scopes, kept.get(name)) for name, scopes in wanted.items()}
    if keys != kept:
        write_private(file, json.dumps(keys, indent=1))
    _leave_for_prometheus(file.parent, keys["admin_key"])
    return keys


def _leave_for_prometheus(folder: Path, admin_key: str) -> None:
    """Put the key for /metrics into a file that holds nothing else: Prometheus reads it there."""
    metrics = folder / "metrics"
    metrics.mkdir(mode=0o700, exist_ok=True)
    write_private(metrics / "admin_key", admin_key)


async def _key(settings: Settings, scopes: list[str], kept: str | None) -> str:
    pepper, owner_url = compose(settings).api_key_pepper, settings.owner_url
    assert owner_url is not None, "DATABASE_URL is set"
    url = owner_url.get_secret_value()
    if kept is not None and await is_valid_key(url, pepper, kept):
        return kept
    return (await create_key(url, pepper, merchant=_DEFAULT_MERCHANT, scopes=scopes)).api_key


def _start_serve(settings: Settings) -> None:
    # Replicas listen there too. On one machine HAProxy alone is public; on several, each one's HAProxy sends requests
    # to the replicas of all, and the firewall keeps others from them.
    host = "127.0.0.1" if runs_on_one_machine() or not settings.listens_publicly else "0.0.0.0"
    serve.start(http_options=HTTPOptions(host=host, port=settings.http_port, keep_alive_timeout_s=60))


def scaling_of(settings: Settings) -> int | AutoscalingConfig:
    """Return how many replicas there are: a number, or between which numbers Serve scales them."""
    if settings.most_replicas == settings.http_replicas:
        return settings.http_replicas
    return predictive(settings.http_replicas, settings.http_replicas_max)


def _url(settings: Settings) -> str:
    host = settings.http_host if settings.http_host not in {"0.0.0.0", "::"} else "127.0.0.1"
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://{host}:{settings.http_port}"


def _wait_until_ready(url: str) -> None:
    """Wait until the gateway answers that it can take payments.

    Raises:
        TimeoutError: not within a minute.
    """
    give_up = time.monotonic() + _READY_WITHIN_S
    while not is_ready(url):
        if time.monotonic() > give_up:
            raise TimeoutError(f"{url} does not serve after {_READY_WITHIN_S:g} s")
        time.sleep(_POLL_S)


if __name__ == "__main__":
    main()
