"""The subjects: what is measured, each brought up and taken down again by a context manager."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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


class EchoFailed(BenchFailed):
    """The driver that deploys or deletes the echo failed."""


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
    try:
        _drive(gateway, "deploy", gateway.ray_address, str(replicas))
        target = Target(url=f"{gateway.url.rstrip('/')}{echo.ROUTE}", status=200, expected=dict(PAYMENT))
        wait_until_right(target)
        yield Subject("echo", target)
    finally:
        _drive(gateway, "delete", gateway.ray_address)


@contextmanager
def running_peer(gateway: Gateway, name: str, style: str) -> Iterator[Subject]:
    """Run the peer with a database of its own on the gateway's PostgreSQL server."""
    port = free_port()
    database = f"bench_{name.replace('-', '_')}_{os.getpid()}"
    command = [sys.executable, "-m", "uvicorn", "--factory", "tests.bench.peer:build_app"]
    command += ["--port", str(port), "--workers", str(PEER_WORKERS)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    target = Target(url=f"http://127.0.0.1:{port}/payments", status=201, expected={**PAYMENT, "status": "captured"})
    with scratch_database(gateway.database_url, database, peer.SCHEMA) as url:
        environment = {**os.environ, "PEER_DATABASE_URL": url, "PEER_STYLE": style}
        # A session of its own: an interrupt reaches it only through us, and its workers can be ended with it.
        process = subprocess.Popen(command, env=environment, stdout=sys.stderr, start_new_session=True)
        try:
            wait_until_right(target)
            yield Subject(name, target, url, process.pid)
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


def _drive(gateway: Gateway, *arguments: str) -> None:
    command = [sys.executable, "-m", echo.__name__, *arguments]
    result = subprocess.run(
        command,
        env=gateway.ray_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DRIVER_TIMEOUT_S,
    )
    if result.returncode != 0:
        raise EchoFailed(f"{' '.join(arguments[:1])} of the echo failed:\n{result.stdout[-3000:]}")
