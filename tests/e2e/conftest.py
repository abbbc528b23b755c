"""One gateway for all the tests of this folder that do not break it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.gateway import TEST_ENVIRONMENT, TEST_OPTIONS, RunningGateway, running_gateway
from tests.e2e.merchant import Merchant, new_merchant
from tests.support.order import own_gateways_first

# Minutes of load with nothing to be seen: whoever wants them says how many seconds. Not a skip, for nothing is missing.
collect_ignore = [] if os.environ.get("EASYPAY_TEST_NOISE_SECONDS") else ["test_normal_load.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run two gateways one after the other."""
    own_gateways_first(items, Path(__file__).parent)


@pytest.fixture(scope="package")
def gateway() -> Iterator[RunningGateway]:
    """Run a gateway of two replicas with the simulator in process."""
    with running_gateway(*TEST_OPTIONS, **TEST_ENVIRONMENT) as running:
        yield running


@pytest.fixture
def merchant(gateway: RunningGateway) -> Iterator[Merchant]:
    """Return the client of a merchant who has no payments yet."""
    with new_merchant(gateway) as client:
        yield client


@pytest.fixture
def anonymous(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """Return a client without a key."""
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        yield client


@pytest.fixture
def other_merchant(gateway: RunningGateway) -> Iterator[Merchant]:
    """Return the client of another merchant."""
    with new_merchant(gateway) as client:
        yield client
