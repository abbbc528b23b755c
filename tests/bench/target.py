"""A target: where a subject of the benchmark listens and what is sent to it."""

from __future__ import annotations

import http.client
import json
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.bench.failure import BenchFailed

PAYMENT = {"amount": 1999, "currency": "USD", "payment_method": "tok_visa"}


class WrongAnswer(BenchFailed):
    """A subject answered something else than what it is measured for."""


@dataclass(frozen=True, slots=True)
class Target:
    """Describe one request that is repeated: with a fresh key each time where `keyed`, with one of the `ids` after
    the other at the end of its path where there are any. It has a body unless that is empty."""

    url: str
    status: int
    expected: dict[str, Any]
    body: bytes = field(default=json.dumps(PAYMENT, separators=(",", ":")).encode())
    authorization: str | None = None
    keyed: bool = False
    method: str = "POST"
    ids: tuple[str, ...] = ()
    accept_encoding: str | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    @property
    def path(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def pieces(self) -> tuple[bytes, bytes]:
        """Return the request's bytes before and after its key or id; with neither, their sum is the whole request."""
        assert not (self.keyed and self.ids), "one place for what changes"
        start = f"{self.method} {self.path}"
        lines = [" HTTP/1.1", f"Host: {self.host}:{self.port}"]
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        if self.authorization:
            lines.append(f"Authorization: {self.authorization}")
        if self.accept_encoding:
            lines.append(f"Accept-Encoding: {self.accept_encoding}")
        if self.ids:
            return start.encode(), "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body
        if self.keyed:
            lines.append("Idempotency-Key: ")
        return (start + "\r\n".join(lines)).encode(), b"\r\n\r\n" + self.body


def probe(target: Target, timeout_s: float = 10.0) -> dict[str, Any]:
    """Send one request and return its JSON answer; raise WrongAnswer unless it is as expected."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
    try:
        connection.request(target.method, _path(target), target.body or None, _headers(target))
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != target.status:
        raise WrongAnswer(f"{target.url} answered {response.status}: {text[:500].decode(errors='replace')}")
    answer: dict[str, Any] = json.loads(text)
    wrong = {name: answer.get(name) for name, value in target.expected.items() if answer.get(name) != value}
    if wrong:
        raise WrongAnswer(f"{target.url} answered {wrong}, expected {target.expected}")
    return answer


def _path(target: Target) -> str:
    return target.path + target.ids[0] if target.ids else target.path


def _headers(target: Target) -> dict[str, str]:
    headers = {"Content-Type": "application/json"} if target.body else {}
    if target.authorization:
        headers["Authorization"] = target.authorization
    if target.keyed:
        headers["Idempotency-Key"] = uuid.uuid4().hex
    return headers
