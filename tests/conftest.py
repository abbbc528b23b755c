"""What tests of all levels may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.postgres import TestPostgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestPostgres]:
    """Run a PostgreSQL with the gateway's schema for the tests that do not stop it."""
    yield from _running()


@pytest.fixture
def own_postgres() -> Iterator[TestPostgres]:
    """Run a PostgreSQL for one test that stops it."""
    yield from _running()


def _running() -> Iterator[TestPostgres]:
    server = TestPostgres()
    try:
        server.start()
        asyncio.run(server.create_schema())
        yield server
    finally:
        server.remove()
