"""The connector to an acquirer over HTTP.

What a fault proves decides its answer. Where the connection could not even be made, nothing was sent:
`Failed`, safe to retry. Anything after that may have been received: `Unknown`. Only a body that says so
proves more, whatever its HTTP status, because a status can come from a proxy on the way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

# aiohttp rather than httpx: measured with 64 calls in flight against an acquirer without latency, one call
# costs this process 119 us of CPU with aiohttp 3.14 and 1,758 us with httpx 0.28, whose pool looks through
# all its connections.
import aiohttp

from actors.runtime.tracing import SpanKind, child
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    Lookup,
    LookupFailed,
    NotFound,
    Outcome,
    Pending,
    ProcessorRequest,
    Refusal,
    Refused,
    Unknown,
)
from serve_app.processors.slots import Slots
from serve_app.processors.wire import Answer, decode_answer, encode_request
from serve_app.tracing.outgoing import HEADER, outgoing_traceparent

_JSON = {"Content-Type": "application/json"}
_ATTRIBUTES = {"peer.service": "processor"}
_ANSWER_MAX_BYTES = 64 * 1024
_CONNECTION_FAULTS = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True, slots=True)
class Unsent:
    """The request surely never left this process."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The request may have arrived; no answer that proves anything came back."""

    reason: str
    timed_out: bool = False


Reply = Answer | Unsent | Lost


class HttpProcessor:
    """Perform operations at an acquirer, over a bounded pool of connections that are kept open and reused.

    A call that finds the pool's queue at its bound is turned away unsent. A connection that breaks under a
    call is answered by sending the same attempt again, which the acquirer performs at most once, within the
    same timeout.
    """

    can_refuse = True

    def __init__(
        self,
        url: str,
        name: str = "acquirer",
        *,
        connections_max: int = 256,
        queue_max: int = 1_000,
        connect_timeout_s: float = 2.0,
        tries_max: int = 3,
        backoff_s: float = 0.05,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        may_repeat: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_repeat` is asked before a call is sent again; it counts those that it allows."""
        self.name = name
        self._operations_url = url.rstrip("/") + "/v1/operations"
        self._connections_max = connections_max
        self._slots = Slots(connections_max, queue_max=queue_max)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._tries_max = tries_max
        self._backoff_s = backoff_s
        self._sleep = sleep
        self._may_repeat = may_repeat
        self._session: aiohttp.ClientSession | None = None

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Outcome:
        """Send the operation, again under the same attempt id where the connection broke. Safe to repeat.

        Once one try may have arrived, only an answer that the acquirer has recorded is believed: a later try
        that could not be sent, or was not carried out, says nothing about the first.
        """
        reply = await self._send_until_heard(encode_request(request), timeout_s)
        match reply:
            case Unsent(reason):
                return Failed(reason, retryable=True)
            case Approved() | Declined() | Failed() | Unknown():
                return reply
            case Lost(reason):
                return Unknown(reason)
        return Unknown("unexpected_answer")

    async def lookup(self, request: ProcessorRequest, *, timeout_s: float) -> Lookup:
        """Ask the acquirer what became of the attempt. Safe to repeat."""
        reply = await self._exchange("GET", self._attempt_url(request), None, timeout_s)
        match reply:
            case Approved() | Declined() | Failed(retryable=False) | Pending() | NotFound():
                return reply
            case Unsent(reason) | Lost(reason):
                return LookupFailed(reason)
        return LookupFailed("unexpected_answer")

    async def refuse(self, request: ProcessorRequest, *, timeout_s: float) -> Refusal:
        """Have the acquirer forbid the attempt id, atomically. Safe to repeat."""
        reply = await self._exchange("POST", self._attempt_url(request) + "/refuse", b"", timeout_s)
        match reply:
            case Refused() | Approved() | Declined() | Failed(retryable=False):
                return reply
            case Unsent(reason) | Lost(reason):
                return LookupFailed(reason)
        return LookupFailed("unexpected_answer")

    async def close(self) -> None:
        """Close the connections. Safe to repeat."""
        if self._session is not None:
            await self._session.close()

    async def _send_until_heard(self, body: bytes, timeout_s: float) -> Reply:
        clock = asyncio.get_running_loop().time
        deadline_s = clock() + timeout_s
        lost: Lost | None = None
        for attempt in range(self._tries_max):
            reply = await self._exchange("POST", self._operations_url, body, deadline_s - clock())
            if not isinstance(reply, Lost) and (lost is None or _is_recorded(reply)):
                return reply
            lost = reply if isinstance(reply, Lost) else lost
            pause_s = random.uniform(0.5, 1.0) * self._backoff_s * 2**attempt
            if (lost is not None and lost.timed_out) or clock() + pause_s >= deadline_s:
                break
            if attempt + 1 == self._tries_max or not self._may_repeat():
                break
            await self._sleep(pause_s)
        assert lost is not None
        return lost

    async def _exchange(self, method: str, url: str, body: bytes | None, timeout_s: float) -> Reply:
        if timeout_s <= 0:
            return Unsent("deadline_passed")
        if self._slots.is_full():
            return Unsent("connector_overloaded")
        with child("processor call", SpanKind.CLIENT, _ATTRIBUTES) as span:
            reply = await self._ask(method, url, body, timeout_s)
            if span is not None:
                span.set_attribute("http.request.method", method)
                span.set_attribute("easypay.reply", type(reply).__name__)
        return reply

    async def _ask(self, method: str, url: str, body: bytes | None, timeout_s: float) -> Reply:
        headers, trace = _JSON, outgoing_traceparent()
        if trace is not None:
            headers = {**_JSON, HEADER: trace}
        sent = False
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                session = self._open_session()
                sent = True
                async with session.request(
                    method, url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
                ) as response:
                    return await _read(response)
        except _CONNECTION_FAULTS:
            return Unsent("processor_unreachable")
        except TimeoutError:
            return Lost("timeout", timed_out=True) if sent else Unsent("connector_overloaded")
        except (aiohttp.ClientError, OSError):
            return Lost("connection_lost")

    def _open_session(self) -> aiohttp.ClientSession:
        # Made at the first call, since it belongs to the event loop that uses it.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections_max, ttl_dns_cache=10),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _attempt_url(self, request: ProcessorRequest) -> str:
        return f"{self._operations_url}/{quote(request.attempt_id, safe='')}"


def _is_recorded(reply: Reply) -> bool:
    return isinstance(reply, Approved | Declined) or (isinstance(reply, Failed) and not reply.retryable)


async def _read(response: aiohttp.ClientResponse) -> Reply:
    if (response.content_length or 0) > _ANSWER_MAX_BYTES:
        return Lost("answer_too_large")
    answer = decode_answer(await response.read())
    return Lost(f"http_{response.status}") if answer is None else answer
