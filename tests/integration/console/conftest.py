"""An operations page for the tests of this folder: real HTTP, PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.operations_page import OperationsPage, operations_page
from tests.support.postgres import TestPostgres
from tests.support.redis_servers import TestRedis
from tests.support.started import started


@pytest.fixture(scope="module")
def redis() -> Iterator[TestRedis]:
    """Run a Redis for the tests of a file; whoever stops it starts it again."""
    with started(TestRedis()) as server:
        yield server


@pytest.fixture
async def page(postgres: TestPostgres, redis: TestRedis) -> AsyncIterator[OperationsPage]:
    """Serve the page, with sessions in Redis."""
    async with operations_page(postgres.url(), redis.url) as served:
        yield served
