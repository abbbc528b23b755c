"""The gateway compresses as it is configured, in the application that it serves."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from actors.pool.database import Database
from actors.runtime.clock import SystemClock
from cluster.composition import compose
from cluster.settings import Settings
from serve_app.app import assemble
from serve_app.services import Services, open_processors, wire
from tests.support.encoded import decode
from tests.unit.http.exchange import Lines, ask


def _services(*, enabled: bool) -> Services:
    settings = Settings(
        _env_file=None,
        database_url="postgresql://nobody@127.0.0.1/none",
        api_key_pepper="p" * 32,
        cache_shards=0,
        compression_enabled=enabled,
    )
    config = compose(settings)
    return wire(config, create_autospec(Database, instance=True), open_processors(config), SystemClock())


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_documentation_is_encoded(path: str) -> None:
    """It is the same as without, in a fifth of the bytes at most."""
    app = assemble(_services(enabled=True), Lines())
    plain = await ask(app, "GET", path)
    answer = await ask(app, "GET", path, headers=[(b"accept-encoding", b"gzip, deflate, br, zstd")])
    assert plain.header("content-encoding") is None
    coding = answer.header("content-encoding")
    assert coding == "zstd"
    assert decode(coding, answer.body) == plain.body
    assert len(answer.body) < len(plain.body) / 5


async def test_switched_off_it_is_not_there() -> None:
    """Not even as a header."""
    services = _services(enabled=False)
    assert services.compressor is None
    answer = await ask(assemble(services, Lines()), "GET", "/docs", headers=[(b"accept-encoding", b"gzip")])
    assert (answer.status, answer.header("content-encoding"), answer.header("vary")) == (200, None, None)
