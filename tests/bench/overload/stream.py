"""A stream: one kind of request of one merchant, and when each of them is due."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, cycle, repeat
from urllib.parse import urlsplit

from tests.bench.overload.schedule import Arrivals
from tests.bench.target import PAYMENT


@dataclass(frozen=True, slots=True)
class Request:
    """Describe a request as its bytes around what changes, which stands wherever two of the ``pieces`` meet.

    What changes is a number of its own, or one of the ``ids`` after the other: each once, or again and again where
    ``repeats``. With one piece nothing changes.
    """

    pieces: tuple[bytes, ...]
    ids: tuple[str, ...] = ()
    repeats: bool = False

    def share(self, process: int, processes: int) -> Request:
        """Return what one of several processes sends."""
        return replace(self, ids=self.ids[process::processes])

    def each(self, run: str) -> Iterator[bytes]:
        """Yield the bytes of one request after the other; ``run`` keeps numbers apart from those of other runs."""
        if len(self.pieces) == 1:
            return repeat(self.pieces[0])
        if self.ids:
            encoded = [each.encode() for each in self.ids]
            return (each.join(self.pieces) for each in (cycle(encoded) if self.repeats else encoded))
        return (f"{run}-{number}".encode().join(self.pieces) for number in count())


@dataclass(frozen=True, slots=True)
class Stream:
    """Name requests and say when they are due."""

    name: str
    request: Request
    arrivals: Arrivals


@dataclass(frozen=True, slots=True)
class Merchant:
    """Build the requests of one merchant at one gateway. The key is kept out of what is printed."""

    url: str
    api_key: str = field(repr=False)

    def create(self, *, capture: bool = True, token: str = "tok_visa", path: str = "/v1/payments") -> Request:
        """Take a payment, or only hold the money; each with an idempotency key of its own."""
        body = {**PAYMENT, "payment_method": token, **({} if capture else {"capture": False})}
        head, tail = self._keyed("POST", path, json.dumps(body, separators=(",", ":")).encode())
        return Request((head, tail))

    def capture(self, authorized: tuple[str, ...]) -> Request:
        """Capture each of these payments once: what finishes work that was accepted before."""
        head, tail = self._keyed("POST", "/v1/payments/\0/capture", b"{}")
        before, after = head.split(b"\0")
        return Request((before, after + b"capture-", tail), authorized)

    def read(self, ids: tuple[str, ...]) -> Request:
        """Read these payments in turn."""
        before, after = self._head("GET", "/v1/payments/\0", ()).split(b"\0")
        return Request((before, after + b"\r\n\r\n"), ids, repeats=True)

    def newest(self, limit: int) -> Request:
        """List so many payments, the newest first."""
        return Request((self._head("GET", f"/v1/payments?limit={limit}", ()) + b"\r\n\r\n",))

    def _keyed(self, method: str, path: str, body: bytes) -> tuple[bytes, bytes]:
        """Return what stands before and after an idempotency key."""
        lines = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Idempotency-Key: ")
        return self._head(method, path, lines), b"\r\n\r\n" + body

    def _head(self, method: str, path: str, more: tuple[str, ...]) -> bytes:
        lines = (f"{method} {path} HTTP/1.1", f"Host: {urlsplit(self.url).netloc}")
        return "\r\n".join((*lines, f"Authorization: Bearer {self.api_key}", *more)).encode()
