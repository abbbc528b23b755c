"""Pages of payments in a gateway, of about 1, 10 and 100 KB, and what each codec makes of them there."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from serve_app.compression.coding import Codec
from serve_app.compression.counts import BODIES, INPUT_BYTES, OUTPUT_BYTES, SECONDS
from tests.bench.failure import BenchFailed
from tests.bench.gateway import Gateway
from tests.bench.target import Target

# A page of one has less than what is encoded at all.
_LIMITS = {"1 KB": 2, "10 KB": 13, "100 KB": 100}
_COUNTED = (BODIES, INPUT_BYTES, OUTPUT_BYTES, SECONDS)
_REQUESTS = 40
_TOLD_WITHIN_S = 20.0
_TIMEOUT_S = 10.0
_SEED = 7


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is asked for without Accept-Encoding, and its bytes."""

    name: str
    target: Target
    size: int


@dataclass(frozen=True, slots=True)
class ServedCodec:
    """Hold what a codec made of a page: the ratio is what is left, the time that of a processor, in milliseconds."""

    page: str
    codec: str
    bytes_in: int
    ratio: float
    ms: float


def make_pages(gateway: Gateway, key: str) -> list[Page]:
    """Have payments of a merchant such that pages of 2, 13 and 100 of them are of about these sizes; return the pages.

    Metadata are what shops send: references that are random, and words that are not.
    """
    _make_payments(gateway, key, max(_LIMITS.values()))
    pages = []
    for name, limit in _LIMITS.items():
        url = f"{gateway.url.rstrip('/')}/v1/payments?limit={limit}"
        target = Target(url, 200, {}, b"", f"Bearer {key}", method="GET")
        pages.append(Page(name, target, len(_body(target, None)[1])))
    return pages


def served_codecs(gateway: Gateway, pages: Sequence[Page]) -> Iterator[ServedCodec]:
    """Ask for each page in each codec, without any other load, and return what the gateway counted.

    A client that refuses identity gets the quickest level; otherwise the gateway may leave small pages as they are.
    """
    for page in pages:
        for codec in Codec:
            before = _counts(gateway, codec)
            for _ in range(_REQUESTS):
                coding, _ = _body(page.target, f"{codec.value}, identity;q=0")
                if coding != codec.value:
                    raise BenchFailed(f"{page.name} came in {coding} where {codec.value} was asked for")
            added = _settled(gateway, codec, before)
            yield ServedCodec(
                page.name,
                codec.value,
                page.size,
                added[OUTPUT_BYTES] / added[INPUT_BYTES],
                added[SECONDS] / added[BODIES] * 1000,
            )


def _make_payments(gateway: Gateway, key: str, count: int) -> None:
    draw = random.Random(_SEED)
    target = Target(f"{gateway.url.rstrip('/')}/v1/payments", 201, {})
    connection = http.client.HTTPConnection(target.host, target.port, timeout=_TIMEOUT_S)
    try:
        for _ in range(count):
            headers = {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {key}",
                "Idempotency-Key": uuid.uuid4().hex,
            }
            connection.request("POST", target.path, json.dumps(_payment(draw)), headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != target.status:
                raise BenchFailed(f"a payment for the pages was answered {answer.status}: {text[:300]!r}")
    finally:
        connection.close()


def _payment(draw: random.Random) -> dict[str, Any]:
    order = draw.randrange(10_000, 99_999)
    return {
        "amount": draw.randrange(100, 50_000),
        "currency": draw.choice(("USD", "EUR")),
        "payment_method": draw.choice(("tok_visa", "tok_mastercard", "tok_amex")),
        "description": f"Order {order} of the spring catalogue",
        "customer": f"cus_{draw.getrandbits(32):08x}",
        "metadata": {
            "order": f"ord_{order}",
            "basket": f"{draw.getrandbits(128):x}",
            "session": f"{draw.getrandbits(128):x}",
            "channel": draw.choice(("web", "app", "telephone")),
            "delivery": draw.choice(("standard, 3 to 5 working days", "express, next working day")),
        },
    }


def _body(target: Target, accept_encoding: str | None) -> tuple[str | None, bytes]:
    """Return the coding and the bytes of an answer as they came."""
    headers = {"Authorization": target.authorization or ""}
    if accept_encoding:
        headers["Accept-Encoding"] = accept_encoding
    connection = http.client.HTTPConnection(target.host, target.port, timeout=_TIMEOUT_S)
    try:
        connection.putrequest("GET", target.path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != target.status:
        raise BenchFailed(f"{target.url} answered {answer.status}: {body[:300]!r}")
    return answer.getheader("content-encoding"), body


def _settled(gateway: Gateway, codec: Codec, before: dict[str, float]) -> dict[str, float]:
    """Return what was added once the gateway has counted every request."""
    deadline = time.monotonic() + _TOLD_WITHIN_S
    while True:
        now = _counts(gateway, codec)
        added = {name: now[name] - before[name] for name in _COUNTED}
        if added[BODIES] == _REQUESTS:
            return added
        if time.monotonic() > deadline:
            raise BenchFailed(f"the gateway counts {added[BODIES]} of {_REQUESTS} bodies in {codec.value}")
        time.sleep(0.1)


def _counts(gateway: Gateway, codec: Codec) -> dict[str, float]:
    """Return what all replicas have counted of pages in a codec."""
    request = urllib.request.Request(
        f"{gateway.url.rstrip('/')}/metrics", headers={"Authorization": f"Bearer {gateway.admin_key}"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        text = answer.read().decode()
    wanted = {"route": "/v1/payments", "codec": codec.value}.items()
    found = dict.fromkeys(_COUNTED, 0.0)
    for family in text_string_to_metric_families(text):
        name = family.name.removeprefix("easypay_")
        if name in found:
            found[name] = sum(sample.value for sample in family.samples if wanted <= sample.labels.items())
    return found
