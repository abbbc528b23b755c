"""What tests of all levels may ask for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterator

import pytest

from tests.support.postgres import TestPostgres
from tests.support.started import started

_LEFT_BY_RAY = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
"""Files and sockets of its processes."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestPostgres]:
    """Run a PostgreSQL with the gateway's schema for the tests that do not stop it."""
    yield from _running()


@pytest.fixture
def own_postgres() -> Iterator[TestPostgres]:
    """Run a PostgreSQL for one test that stops it."""
    yield from _running()


def _running() -> Iterator[TestPostgres]:
    with started(TestPostgres()) as server:
        asyncio.run(server.create_schema())
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what Ray leaves to the garbage collector fail no test: it may be found in a later one than it is from."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.filterwarnings(*_LEFT_BY_RAY))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where EASYPAY_TEST_REQUIRE_OPTIONAL is set, let a skipped test fail: there nothing it could need is missing."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("EASYPAY_TEST_REQUIRE_OPTIONAL"):
        report.outcome = "failed"
        report.longrepr = f"skipped where no test may be: {report.longrepr}"
    return report
