"""Drives an ASGI application with raw messages: what a server would send, and all that came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json
from starlette.types import ASGIApp, Message, Receive, Scope

from actors.cache.limits.limiter import Limiter
from actors.runtime.clock import SystemClock
from actors.runtime.lag import LoopLagProbe
from serve_app.admission.admission import Admission
from serve_app.admission.work import Work
from serve_app.compression.compressor import Compressor
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.http.router import Router
from serve_app.middleware.access_log import AccessLog, BatchedLines
from serve_app.middleware.authentication import Caller
from serve_app.middleware.compression import Compression
from serve_app.middleware.faults import Faults
from serve_app.middleware.rate_limit import RateLimitHeaders, RateLimits
from serve_app.middleware.request_id import RequestId
from serve_app.middleware.trace_context import TraceContext

CARD = "4242424242424242"
SECRET = "sk_test_0123456789abcdefghijklmnopqrstuv"
CALLER = Caller(UUID(int=1), UUID(int=2), False, frozenset({"things:write", "things:read"}), None)
JSON = (b"content-type", b"application/json")
KEY = (b"authorization", f"Bearer {SECRET}".encode())

Headers = Sequence[tuple[bytes, bytes]]


@dataclass
class Exchange:
    """What an application answered."""

    sent: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        """Take a message as a server does."""
        self.sent.append(message)

    @property
    def status(self) -> int:
        """The status; it fails where there was no answer."""
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def json(self) -> Any:
        """The body, as JSON."""
        return from_json(self.body)

    def headers(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value.decode() for key, value in self.sent[0]["headers"] if key == name.encode()]

    def header(self, name: str) -> str | None:
        """Return the one value of a header, None without one."""
        values = self.headers(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


def http_scope(method: str, path: str, headers: Headers = (), query: bytes = b"") -> Scope:
    """Return the scope of a request."""
    return {"type": "http", "method": method, "path": path, "headers": list(headers), "query_string": query}


def receive_of(*messages: Message) -> Receive:
    """Return a receive that gives these messages, then that the client is gone."""
    left = list(messages)

    async def receive() -> Message:
        return left.pop(0) if left else {"type": "http.disconnect"}

    return receive


def body_messages(*parts: bytes) -> list[Message]:
    """Return a body in parts."""
    last = len(parts) - 1
    return [
        {"type": "http.request", "body": part, "more_body": index < last} for index, part in enumerate(parts or (b"",))
    ]


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Headers = (),
    body: bytes | Sequence[bytes] = b"",
    query: bytes = b"",
) -> Exchange:
    """Send a request with its body, in one part or in several, and return the answer."""
    exchange = Exchange()
    parts = (body,) if isinstance(body, bytes) else tuple(body)
    await app(http_scope(method, path, headers, query), receive_of(*body_messages(*parts)), exchange.send)
    return exchange


class NewThing(BaseModel):
    """A body with a required member."""

    model_config = ConfigDict(extra="forbid")

    amount: int
    note: str | None = None
    metadata: dict[str, str] = {}


class ChangeThing(BaseModel):
    """A body that may be left out."""

    note: str | None = None


class ListThings(BaseModel):
    """A query."""

    model_config = ConfigDict(extra="forbid")

    limit: int = 20
    status: str | None = None


class Thing(BaseModel):
    """An answer."""

    id: str


class Keys:
    """An authenticator of one key, which knows it only once it was asked."""

    def __init__(self, caller: Caller = CALLER) -> None:
        self._caller = caller
        self.asked: list[str] = []
        self.uses: list[Caller] = []

    def peek(self, secret: str) -> Caller | None:
        """Return the caller once it is known."""
        return self._caller if secret == SECRET and self.asked else None

    def is_familiar(self, secret: str) -> bool:
        """Say whether it was asked for before."""
        return secret == SECRET and SECRET in self.asked

    async def authenticate(self, secret: str) -> Caller | None:
        """Return the caller."""
        self.asked.append(secret)
        return self._caller if secret == SECRET else None

    def used(self, caller: Caller) -> None:
        """Note a use."""
        self.uses.append(caller)


class Things:
    """Endpoints that remember their calls, and raise what they are given."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.calls: list[Call] = []
        self._failure = failure

    async def answer(self, call: Call) -> Response:
        """Answer, or raise."""
        self.calls.append(call)
        if self._failure is not None:
            raise self._failure
        return json_response(201 if call.method == "POST" else 200, {"id": "thing_1"})

    def operations(self) -> Sequence[Operation]:
        """Return operations of every kind."""
        made, got = {201: Thing}, {200: Thing}
        return (
            Operation(
                "POST", "/things", self.answer, "Make", "Things", "things:write", request=NewThing, answers=made,
                idempotent=True, work=Work.CREATING, calls_processor=True,
            ),
            Operation(
                "GET", "/things", self.answer, "List", "Things", "things:read", query=ListThings, answers=got,
                work=Work.LISTING,
            ),
            Operation(
                "GET", "/things/{thing_id}", self.answer, "Read", "Things", "things:read", answers=got,
                work=Work.READING,
            ),
            Operation(
                "POST", "/things/{thing_id}/change", self.answer, "Change", "Things", "things:write",
                request=ChangeThing, answers=got, sensitive=True,
            ),
            Operation("DELETE", "/things/{thing_id}", self.answer, "Forget", "Things", "things:admin", answers=got),
            Operation("GET", "/health", self.answer, "Live", "Health", answers=got),
        )  # fmt: skip


class Lines(BatchedLines):
    """Lines of a log that are kept as they were written."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        super().__init__(self._chunks.append)

    @property
    def written(self) -> list[str]:
        """Every line so far, with its end."""
        self.flush()
        return b"".join(self._chunks).decode().splitlines(keepends=True)


def limits_of(
    merchant_per_minute: int = 0, unknown_per_minute: int = 0, address_per_minute: int = 0, addresses_max: int = 100
) -> RateLimits:
    """Return limits of a process that is alone, and so has a static share that is the whole; 0: no limit."""
    return RateLimits(
        Limiter(None, processes=1, minor_keys_max=addresses_max),
        merchant_per_minute=merchant_per_minute,
        unknown_per_minute=unknown_per_minute,
        address_per_minute=address_per_minute,
    )


def admission_of(queue_max: int = 1000, workers: int = 0) -> Admission:
    """Return the gate of a process whose loop is never late."""
    return Admission.of(SystemClock(), lambda: 0.0, queue_max=queue_max, workers=workers)


def edge(
    things: Things,
    keys: Keys | None = None,
    lines: BatchedLines | None = None,
    limits: RateLimits | None = None,
    admission: Admission | None = None,
) -> ASGIApp:
    """Return the whole stack around endpoints, as the gateway assembles it."""
    faults = Faults(Router(things.operations(), keys or Keys(), limits or limits_of(), admission or admission_of()))
    compression = Compression(faults, Compressor(LoopLagProbe().read))
    return RequestId(TraceContext(RateLimitHeaders(AccessLog(compression, lines or Lines()))))
