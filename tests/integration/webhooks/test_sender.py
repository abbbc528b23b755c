"""One delivery over real HTTP: verified by its receiver, bounded, and never led elsewhere."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from serve_app.webhooks.guard import AddressGuard, Lookup
from serve_app.webhooks.message import Event
from serve_app.webhooks.reply import Reply
from serve_app.webhooks.secrets import new_secret
from serve_app.webhooks.sender import ANSWER_KEPT_BYTES, WebhookSender
from tests.support.certificates import certify
from tests.support.ports import free_port
from tests.support.stream_server import stream_server
from tests.support.webhook_receiver import Answer, WebhookReceiver, receiving

_EVENT = Event(UUID(int=3), "payment.captured", 7, '{"id":"pay_1"}', datetime(2026, 1, 1, tzinfo=UTC))
_SECRET = new_secret()


def _names(*addresses: str) -> Lookup:
    """Return a resolver in which every name leads to these addresses."""

    async def lookup(_host: str, _port: int, _family: int) -> Sequence[tuple[int, str]]:
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, each) for each in addresses]

    return lookup


@asynccontextmanager
async def _sender(*addresses: str, allow_loopback: bool = True, timeout_s: float = 5.0) -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(AddressGuard(_names(*addresses), allow_loopback=allow_loopback), timeout_s=timeout_s)
    try:
        yield sender
    finally:
        await sender.close()


async def _send(sender: WebhookSender, url: str) -> Reply:
    return await sender.send(url, _EVENT, [_SECRET], datetime.now(UTC))


async def _to(receiver: WebhookReceiver) -> Reply:
    receiver.secrets.append(_SECRET)
    async with _sender() as sender:
        return await _send(sender, receiver.url)


async def test_a_receiver_verifies_what_it_gets() -> None:
    """With the library, over the bytes that arrive; its answer is kept."""
    async with receiving(lambda _: Answer(200, body=b"thanks")) as receiver:
        reply = await _to(receiver)
        assert (reply.code, reply.body, reply.error) == (200, "thanks", None)
        [received] = receiver.received
        assert received.event["sequence"] == 7
        assert received.webhook_id == received.headers["webhook-id"] == _EVENT.public_id
        assert receiver.forged == 0


async def test_no_redirect_is_followed() -> None:
    """Where it leads nobody has checked."""
    async with receiving() as inside, receiving(lambda _: Answer(307, {"location": inside.url})) as receiver:
        inside.secrets.append(_SECRET)
        assert (await _to(receiver)).code == 307
        assert (inside.received, inside.forged) == ([], 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "hooks.example.com", "[::ffff:127.0.0.1]", "[::1]"])
async def test_nothing_is_sent_to_a_forbidden_address(host: str) -> None:
    """Whether it stands in the URL or the name leads there: not one connection is made."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with _sender("127.0.0.1", allow_loopback=False) as sender:
            reply = await _send(sender, f"http://{host}:{listener.getsockname()[1]}/")
        assert (reply.code, reply.error) == (None, "forbidden_address")
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1"])
async def test_a_number_that_stands_for_an_address_is_not_connected_to(host: str) -> None:
    """Even if such a URL were stored: these the client itself does not take for addresses, nor does our resolver."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with _sender("127.0.0.1", allow_loopback=False) as sender:
            reply = await _send(sender, f"http://{host}:{listener.getsockname()[1]}/")
        assert reply.code is None
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_an_answer_without_end_is_cut_off() -> None:
    """Its first bytes are kept, the rest is not read, and the next delivery is not confused by it."""
    async with receiving(lambda _: Answer(200, body=b"a" * 1_000_000)) as receiver:
        receiver.secrets.append(_SECRET)
        async with _sender() as sender:
            for _ in range(2):
                reply = await _send(sender, receiver.url)
                assert (reply.code, reply.body) == (200, "a" * ANSWER_KEPT_BYTES)


async def test_a_compressed_answer_is_not_unpacked() -> None:
    """A kilobyte may hide gigabytes."""
    packed = gzip.compress(b"a" * 1_000_000)
    async with receiving(lambda _: Answer(200, {"content-encoding": "gzip"}, packed)) as receiver:
        reply = await _to(receiver)
        assert reply.code == 200
        assert reply.body is not None
        assert "aaaa" not in reply.body


@pytest.mark.parametrize(
    ("body", "kept"), [(b"a\x00b\xff", "a\ufffdb\ufffd"), (b"card 4242424242424242", "(hidden)"), (b"", None)]
)
async def test_what_is_kept_can_be_stored_and_shown(body: bytes, kept: str | None) -> None:
    """No NUL, no broken text, and no card number."""
    async with receiving(lambda _: Answer(200, body=body)) as receiver:
        assert (await _to(receiver)).body == kept


async def test_a_receiver_that_does_not_answer_is_given_up() -> None:
    """Within the bound, and with a word for it."""
    async with receiving(lambda _: Answer(delay_s=30)) as receiver:
        receiver.secrets.append(_SECRET)
        async with _sender(timeout_s=0.2) as sender:
            reply = await _send(sender, receiver.url)
        assert (reply.code, reply.error) == (None, "timeout")
        assert 150 <= reply.duration_ms < 5_000


async def test_a_receiver_that_is_not_there_is_told_of() -> None:
    """Nothing listens."""
    async with _sender() as sender:
        assert (await _send(sender, f"http://127.0.0.1:{free_port()}/")).error == "connection_refused"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", b"220 smtp ready\r\n"])
async def test_a_receiver_that_speaks_no_http_is_told_of(sent: bytes) -> None:
    """It closes without an answer, in the middle of one, or says something else."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()

    async with stream_server(speak) as port, _sender() as sender:
        reply = await _send(sender, f"http://127.0.0.1:{port}/")
    assert reply.code is None
    assert reply.error in ("connection_lost", "invalid_answer")


async def test_a_connection_that_was_closed_meanwhile_is_not_a_failure() -> None:
    """The receiver closes what it has kept just as the next delivery comes: that is sent on a new connection."""
    answered = b"HTTP/1.1 204 No Content\r\n\r\n"
    connections = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b'"pay_1"}}')
        writer.write(answered)
        await writer.drain()
        if connections == 1:
            await reader.readuntil(b'"pay_1"}}')  # The second delivery comes, and nobody answers it.

    async with stream_server(speak) as port, _sender() as sender:
        url = f"http://127.0.0.1:{port}/"
        assert [(await _send(sender, url)).code for _ in range(2)] == [204, 204]
    assert connections == 2


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """Before anything is sent."""
    certificate, key = certify(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with receiving(certificate=context) as receiver:
        reply = await _to(receiver)
        assert (reply.code, reply.error) == (None, "tls_failed")
        assert (receiver.received, receiver.forged) == ([], 0)


async def test_the_environment_s_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could reach what this process may not."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{free_port()}")
    async with receiving() as receiver:
        assert (await _to(receiver)).code == 204
