"""Sends one delivery over HTTP and says what came of it. It follows no redirect and reads no more than it keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

import aiohttp

from actors.runtime.tracing import SpanKind, child
from serve_app.domain.cards import contains_card_number
from serve_app.tracing.outgoing import HEADER, outgoing_traceparent
from serve_app.webhooks.guard import AddressGuard, ForbiddenAddress
from serve_app.webhooks.message import Event
from serve_app.webhooks.reply import Reply
from serve_app.webhooks.secrets import signatures

TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
ANSWER_KEPT_BYTES = 1024
_CONNECTIONS_MAX = 1024
"""Beyond the deliveries that run at once: none waits for a connection that a slow receiver holds."""
_IDLE_S = 10.0
_SENDS_MAX = 2
_HIDDEN = "(hidden)"


class WebhookSender:
    """Posts signed events, over connections that are kept for a little while. Bound to one loop."""

    def __init__(self, guard: AddressGuard, *, timeout_s: float = TIMEOUT_S) -> None:
        self._guard = guard
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, event: Event, secrets: Sequence[str], sent_at: datetime) -> Reply:
        """Post the event, signed with each of the secrets. Errors of the way there are part of the reply."""
        body = event.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "EasyPay-Webhooks/1",
            "accept-encoding": "identity",
            "webhook-id": event.public_id,
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": signatures(secrets, event.public_id, sent_at, body),
        }
        with child("webhook POST", SpanKind.CLIENT) as span:
            # Not signed: what was sent is the event, and the trace is of this try.
            trace = outgoing_traceparent()
            reply = await self._tried(url, body.encode(), headers if trace is None else {**headers, HEADER: trace})
            if span is not None:
                told = {"http.response.status_code": reply.code} if reply.code else {"error.type": reply.error or ""}
                span.set_attributes(told)
        return reply

    async def close(self) -> None:
        """Close the connections. Safe to repeat."""
        if self._session is not None:
            await self._session.close()

    async def _tried(self, url: str, body: bytes, headers: dict[str, str]) -> Reply:
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(url, body, headers, started)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError.
            return Reply(_since_ms(started), error=_word(error))

    async def _post(self, url: str, body: bytes, headers: dict[str, str], started: float) -> Reply:
        for left in reversed(range(_SENDS_MAX)):
            try:
                async with self._opened().post(url, data=body, headers=headers, allow_redirects=False) as response:
                    kept = await _first_bytes(response)
                    # What is left of the answer is not waited for, and cannot be taken for the next one's.
                    if not response.content.at_eof():
                        response.close()
                    return Reply(_since_ms(started), response.status, kept, response.headers.get("retry-after"))
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                # A connection that was kept and that the receiver has closed meanwhile; it is told apart by nothing.
                # To send the event once more is what a delivery may do.
                if not left:
                    raise
        raise AssertionError("the last send returns or raises")

    def _opened(self) -> aiohttp.ClientSession:
        # Made at the first call, since it belongs to the event loop that uses it.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_CONNECTIONS_MAX,
                    keepalive_timeout=_IDLE_S,
                    resolver=self._guard,
                    socket_factory=self._guard.open_socket,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


async def _first_bytes(response: aiohttp.ClientResponse) -> str | None:
    """Return what is kept of the answer, as text that can be stored and shown."""
    kept = bytearray()
    while len(kept) < ANSWER_KEPT_BYTES:
        part = await response.content.read(ANSWER_KEPT_BYTES - len(kept))
        if not part:
            break
        kept += part
    text = kept.decode("utf-8", errors="replace").replace("\x00", "\ufffd")
    return (_HIDDEN if contains_card_number(text) else text) or None


def _word(error: Exception) -> str:
    """Return one word for what went wrong: the merchant reads it, so it says nothing about this network."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match cause:
        case ForbiddenAddress():
            return "forbidden_address"
        case TimeoutError():
            return "timeout"
        case _ if isinstance(error, aiohttp.ClientConnectorDNSError):
            return "name_not_resolved"
        case _ if isinstance(error, aiohttp.ClientSSLError):
            return "tls_failed"
        case _ if isinstance(error, aiohttp.ClientConnectorError):
            return "connection_refused"
        case aiohttp.ClientResponseError() | ValueError():
            return "invalid_answer"
        case _:
            return "connection_lost"


def _since_ms(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
