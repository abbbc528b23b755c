"""A server that tests of maintenance share, and nobody else: elsewhere there would be more to do than they expect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.postgres import TestPostgres
from tests.support.started import started


@pytest.fixture(scope="module")
def maintained() -> Iterator[TestPostgres]:
    """Run a PostgreSQL with the gateway's schema."""
    with started(TestPostgres()) as server:
        asyncio.run(server.create_schema())
        yield server
