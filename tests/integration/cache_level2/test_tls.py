"""The level over TLS, where both sides know whom they talk to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from actors.cache.level2.redis_level import Found, Put
from actors.runtime.errors import Unavailable
from tests.integration.cache_level2.conftest import OpenLevel
from tests.support.certificates import certify
from tests.support.ports import free_port
from tests.support.redis_servers import TestRedis


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Run a server that speaks TLS; return its URL and the certificate."""
    certificate, key = certify(tmp_path)
    port = free_port()
    # The server in the wheel has no TLS.
    program = os.environ.get("EASYPAY_TEST_REDIS_WITH_TLS")
    server = TestRedis(
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)),
        program=Path(program) if program else None,
    )
    try:
        try:
            server.start()
        except AssertionError as error:
            if "TLS support" not in str(error) and "tls-port" not in str(error):
                raise
            pytest.skip("this redis-server was built without TLS")
        yield f"rediss://127.0.0.1:{port}/0", certificate
    finally:
        server.remove()


async def test_a_level_speaks_tls(secured: tuple[str, Path], open_level: OpenLevel) -> None:
    """With a server whose certificate it was told to trust."""
    url, certificate = secured
    level = open_level(f"{url}?ssl_ca_certs={certificate}")
    await level.put([Put("key", 1, 1, b"value", 60.0)])
    assert await level.get(["key"]) == {"key": Found(1, 1, b"value")}


async def test_a_level_that_is_closed_holds_no_connection(secured: tuple[str, Path], open_level: OpenLevel) -> None:
    """The end of TLS takes a word of the server, and a loop that ends would not hear it later."""
    url, certificate = secured
    level = open_level(f"{url}?ssl_ca_certs={certificate}")
    await level.put([Put("key", 1, 1, b"value", 60.0)])
    port = urlsplit(url).port
    assert port in _connected_to()
    await level.close()
    assert port not in _connected_to()


def _connected_to() -> set[int]:
    """Return the ports to which this process has connections."""
    connections = psutil.Process().net_connections("tcp")
    # One that listens has none, which the types do not say.
    return {each.raddr.port for each in connections if each.raddr}  # type: ignore[redundant-expr]


async def test_a_stranger_is_not_talked_to(secured: tuple[str, Path], open_level: OpenLevel) -> None:
    """A certificate that nobody vouches for ends the call."""
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await open_level(secured[0]).get(["key"])
