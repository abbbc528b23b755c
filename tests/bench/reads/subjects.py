"""What answers reads by id: the gateway, and the peer with Serve and without it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.bench.gateway import Gateway
from tests.bench.reads import echo, served
from tests.bench.subjects import Subject, deployed, running_uvicorn
from tests.bench.target import PAYMENT, Target, probe
from tests.support.ports import free_port

EXPECTED = {"object": "payment", "amount": PAYMENT["amount"], "currency": PAYMENT["currency"], "status": "captured"}
UVICORN_FACTORY = "tests.bench.reads.peer:build_from_environment"


def reading(gateway: Gateway, ids: Sequence[str]) -> Subject:
    """Read payments from the gateway, one after the other."""
    return Subject("easypay", _target(f"{gateway.url.rstrip('/')}/v1/payments/", gateway, ids), pid=gateway.pid)


@contextmanager
def read_echo(gateway: Gateway, ids: Sequence[str], replicas: int) -> Iterator[Subject]:
    """Deploy what answers as many bytes, and does nothing for it, beside the gateway, and take it out again."""
    target = _target(f"{gateway.url.rstrip('/')}{echo.ROUTE}/payments/", gateway, ids)
    answer = json.dumps(probe(reading(gateway, ids).target), separators=(",", ":"))
    with deployed(gateway, echo.__name__, replicas, target, {echo.ENVIRONMENT: answer}):
        yield Subject("echo", target)


@contextmanager
def served_peer(gateway: Gateway, ids: Sequence[str], replicas: int) -> Iterator[Subject]:
    """Deploy the peer beside the gateway, and take it out again."""
    target = _target(f"{gateway.url.rstrip('/')}{served.ROUTE}/payments/", gateway, ids)
    with deployed(gateway, served.__name__, replicas, target, _environment(gateway, ids)):
        yield Subject("served-peer", target)


@contextmanager
def bare_peer(gateway: Gateway, ids: Sequence[str]) -> Iterator[Subject]:
    """Run the peer on uvicorn."""
    port = free_port()
    target = _target(f"http://127.0.0.1:{port}/payments/", gateway, ids)
    with running_uvicorn(UVICORN_FACTORY, port, target, _environment(gateway, ids)) as pid:
        yield Subject("bare-peer", target, pid=pid)


def _target(url: str, gateway: Gateway, ids: Sequence[str]) -> Target:
    return Target(
        url=url,
        status=200,
        expected=EXPECTED,
        body=b"",
        authorization=f"Bearer {gateway.api_key}",
        method="GET",
        ids=tuple(ids),
    )


def _environment(gateway: Gateway, ids: Sequence[str]) -> Mapping[str, str]:
    merchant = probe(reading(gateway, ids).target)["merchant"]
    return {
        "PEER_DATABASE_URL": gateway.database_url,
        "PEER_API_KEY": gateway.api_key,
        "PEER_MERCHANT": merchant,
    }
