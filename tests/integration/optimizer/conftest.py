"""A server of its own for each module: the optimizer looks at all that its databases ran."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import TestPostgres
from tests.support.started import started


@pytest.fixture(scope="module")
def server() -> Iterator[TestPostgres]:
    """Run a PostgreSQL with no schema."""
    with started(TestPostgres()) as running:
        yield running
