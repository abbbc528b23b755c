"""The subjects: what is measured, each brought up and taken down again by a context manager."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench import echo, peer
from tests.bench.database import scratch_database
from tests.bench.failure import BenchFailed
from tests.bench.gateway import Gateway
from tests.bench.target import PAYMENT, Target, WrongAnswer, probe
from tests.support.ports import free_port

PEER_WORKERS = 2
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
# HAProxy learns of a new application by a reload; this many right answers in a row show that it is over.
READY_ANSWERS = 20
DRIVER_TIMEOUT_S = 120


class DeploymentFailed(BenchFailed):
    """The driver that deploys or deletes an application failed."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Describe one subject; `database_url` is None where it writes nothing, `pid` where it has no tree."""

    name: str
    target: Target
    database_url: str | None = None
    pid: int | None = None


def easypay(gateway: Gateway) -> Subject:
    """Measure the gateway with everything on."""
    target = Target(
        url=f"{gateway.url.rstrip('/')}/v1/payments",
        status=201,
        expected={"amount": PAYMENT["amount"], "currency": PAYMENT["currency"], "status": "captured"},
        authorization=f"Bearer {gateway.api_key}",
        keyed=True,
    )
    wait_until_right(target)
    return Subject("easypay", target, gateway.database_url, gateway.pid)


@contextmanager
def deployed_echo(gateway: Gateway, replicas: int) -> Iterator[Subject]:
    """Deploy the echo beside the gateway, and take it out again."""
    target = Target(url=f"{gateway.url.rstrip('/')}{echo.ROUTE}", status=200, expected=dict(PAYMENT))
    with deployed(gateway, echo.__name__, replicas, target, {}):
        yield Subject("echo", target)


@contextmanager
def deployed(
    gateway: Gateway, module: str, replicas: int, target: Target, environment: Mapping[str, str]
) -> Iterator[None]:
    """Have a module deploy its application beside the gateway, wait for right answers, and take it out again."""
    try:
        _drive(gateway, module, "deploy", gateway.ray_address, str(replicas), environment=environment)
        wait_until_right(target)
        yield
    finally:
        _drive(gateway, module, "delete", gateway.ray_address, environment=environment)


@contextmanager
def running_peer(gateway: Gateway, name: str, style: str) -> Iterator[Subject]:
    """Run the peer with a database of its own on the gateway's PostgreSQL server."""
    port = free_port()
    database = f"bench_{name.replace('-', '_')}_{os.getpid()}"
    target = Target(url=f"http://127.0.0.1:{port}/payments", status=201, expected={**PAYMENT, "status": "captured"})
    with scratch_database(gateway.database_url, database, peer.SCHEMA) as url:
        environment = {"PEER_DATABASE_URL": url, "PEER_STYLE": style}
        with running_uvicorn("tests.bench.peer:build_app", port, target, environment) as pid:
            yield Subject(name, target, url, pid)


@contextmanager
def running_uvicorn(factory: str, port: int, target: Target, environment: Mapping[str, str]) -> Iterator[int]:
    """Run an application on PEER_WORKERS workers until the block ends; yields the process id once answers are right."""
    command = [sys.executable, "-m", "uvicorn", "--factory", factory]
    command += ["--port", str(port), "--workers", str(PEER_WORKERS)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    # A session of its own: an interrupt reaches it only through us, and its workers can be ended with it.
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=sys.stderr, start_new_session=True)
    try:
        wait_until_right(target)
        yield process.pid
    finally:
        _end(process)


def wait_until_right(target: Target) -> None:
    """Return after READY_ANSWERS right answers in a row; raise the last fault when the time is over."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    right = 0
    while right < READY_ANSWERS:
        try:
            probe(target)
            right += 1
        except (OSError, ValueError, WrongAnswer):
            if time.monotonic() > deadline:
                raise
            right = 0
            time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its session, its children too where it does not end by itself."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _drive(gateway: Gateway, module: str, *arguments: str, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", module, *arguments]
    result = subprocess.run(
        command,
        env={**gateway.ray_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DRIVER_TIMEOUT_S,
    )
    if result.returncode != 0:
        raise DeploymentFailed(f"{arguments[0]} of {module} failed:\n{result.stdout[-3000:]}")
