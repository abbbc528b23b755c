"""What a replica is told, and by whom."""

from __future__ import annotations

import pytest

from tests.integration.ingress.client import Reply, exchange
from tests.integration.ingress.conftest import Ingress


def _heard(reply: Reply, name: str) -> list[str]:
    """List the values of one header as the replica saw it."""
    headers = reply.json()["headers"]
    assert isinstance(headers, list)
    return [value for key, value in headers if key == name]


@pytest.mark.parametrize(
    "name",
    [
        "x-request-timeout-seconds",
        "serve_multiplexed_model_id",
        "Serve-Multiplexed_model-ID",
        "x-session-id",
        "x_session_id",
        "x-serve-router-target",
        "forwarded",
        "x-real-ip",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-haproxy-reload-id",
    ],
)
async def test_a_client_cannot_steer_serve(ingress: Ingress, name: str) -> None:
    """Headers that Serve obeys, or by which a client would pass for a proxy, do not reach a replica."""
    await ingress.start()
    reply = await ingress.request(headers=f"{name}: 1\r\n{name}: 2\r\n")
    assert _heard(reply, name.lower()) == []


async def test_hang_ups_are_never_watched(ingress: Ingress) -> None:
    """Serve is told not to cancel on a hang-up, whatever the client says."""
    await ingress.start()
    reply = await ingress.request(headers="X-Request-Disconnect-Disabled: ?0\r\n")
    assert _heard(reply, "x-request-disconnect-disabled") == ["?1"]


async def test_the_client_address_is_that_of_the_connection(ingress: Ingress) -> None:
    """A client cannot choose the address that it is known by."""
    await ingress.start()
    reply = await ingress.request(headers="X-Forwarded-For: 198.51.100.7\r\n")
    assert _heard(reply, "x-forwarded-for") == ["127.0.0.1"]


async def test_a_trusted_proxy_names_the_client(ingress: Ingress) -> None:
    """From a trusted proxy the last address counts, anew for each request of a connection, and so does the
    scheme."""
    await ingress.start(ingress.policy(trusted_proxies=("127.0.0.0/8",)))
    reader, writer = await ingress.connect()
    for client in ("198.51.100.7", "198.51.100.8"):
        headers = f"X-Forwarded-For: 203.0.113.9, {client}\r\nX-Forwarded-Proto: https\r\n"
        reply = await exchange(reader, writer, headers=headers)
        assert _heard(reply, "x-forwarded-for") == [client]
        assert _heard(reply, "x-forwarded-proto") == ["https"]
    assert _heard(await exchange(reader, writer), "x-forwarded-for") == ["127.0.0.1"]
    writer.close()


async def test_a_request_id_is_echoed(ingress: Ingress) -> None:
    """A usable id of the client goes to the replica and back, once."""
    await ingress.start()
    reply = await ingress.request(headers="X-Request-Id: a,b\r\n")
    assert _heard(reply, "x-request-id") == ["a,b"]
    assert reply.headers["x-request-id"] == "a,b"


@pytest.mark.parametrize("bad", ["a b", "\xe9", "a" * 129, ""])
async def test_an_unusable_request_id_is_replaced(ingress: Ingress, bad: str) -> None:
    """An id with spaces, other characters, too many or none is replaced by a fresh one."""
    await ingress.start()
    reply = await ingress.request(headers=f"X-Request-Id: {bad}\r\n")
    [heard] = _heard(reply, "x-request-id")
    assert heard == reply.headers["x-request-id"]
    assert heard != bad
    assert len(heard) == 36
