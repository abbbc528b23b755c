"""Gateways that modules share, one after the other: whatever is broken in one mends without anybody's help.

Each test runs on a kind of gateway; pytest has those of one kind run together, and ends a gateway before the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.redis_beneath import ClusterBeneath, EmbeddedBeneath, RedisBeneath
from tests.chaos.seeds import printed_seed
from tests.e2e.gateway import RunningGateway, running_gateway
from tests.support.acquirer import AcquirerProcess
from tests.support.order import own_gateways_first
from tests.support.redis_servers import TestRedisCluster
from tests.support.started import started

# Redeploys take minutes: whoever wants them says of how many payments. Not a skip, for nothing is missing.
collect_ignore = [] if os.environ.get("EASYPAY_TEST_SCALE_PAYMENTS") else ["test_scaling.py"]
# Two whole gateways at once need twice the memory of all other tests.
if not os.environ.get("EASYPAY_TEST_TWO_CLUSTERS"):
    collect_ignore.append("test_two_clusters.py")

EMBEDDED, CLUSTER, ACQUIRER = "embedded", "cluster", "acquirer"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs no gateway before there is one."""
    own_gateways_first(items, Path(__file__).parent)


@pytest.fixture(scope="package", params=[EMBEDDED, CLUSTER])
def kind(request: pytest.FixtureRequest) -> str:
    """Return what stands beside the gateway: its embedded Redis, a Redis Cluster; or an acquirer, for who asks."""
    name: str = request.param
    return name


@pytest.fixture(scope="package")
def redis_cluster(kind: str) -> Iterator[TestRedisCluster | None]:
    """Run a cluster of three nodes for a gateway that is to use one."""
    if kind != CLUSTER:
        yield None
        return
    with started(TestRedisCluster()) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def acquirer(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcquirerProcess | None]:
    """Run an acquirer that takes 200 ms for a charge, for a gateway that is to use one."""
    if kind != ACQUIRER:
        yield None
        return
    running = AcquirerProcess(tmp_path_factory.mktemp("acquirer") / "ledger.db", latency_ms=200, seed=printed_seed())
    yield running
    running.kill()


@pytest.fixture(scope="package")
def gateway(redis_cluster: TestRedisCluster | None, acquirer: AcquirerProcess | None) -> Iterator[RunningGateway]:
    """Run a gateway of two replicas, with the simulator in process unless there is an acquirer."""
    environment = {"RATE_LIMIT_PER_MINUTE": "0", "WEBHOOK_ALLOW_LOOPBACK": "true"}
    if redis_cluster is not None:
        environment["REDIS_URL"] = redis_cluster.url
    if acquirer is not None:
        environment |= {"PROCESSOR_URL": acquirer.url, "PROCESSOR_TIMEOUT_S": "3"}
    with running_gateway("--replicas", "2", **environment) as running:
        yield running


@pytest.fixture(scope="package")
def redis(gateway: RunningGateway, redis_cluster: TestRedisCluster | None) -> RedisBeneath:
    """Return what the gateway keeps its second level in, to be struck."""
    return EmbeddedBeneath(gateway.data_dir) if redis_cluster is None else ClusterBeneath(redis_cluster)
