"""What survives `easypay down` and `easypay up`: data, keys and answers."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

import pytest

from cluster.data_dir import DataDir
from cluster.instance import marked_processes
from tests.e2e.gateway import TEST_ENVIRONMENT, TEST_OPTIONS, RunningGateway, down, up
from tests.e2e.merchant import Merchant

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.timeout(300)
def test_a_key_replays_after_a_restart(gateway: RunningGateway) -> None:
    """The same key gets the same bytes, the API keys still work, and nothing of ours runs in between."""
    key = uuid.uuid4().hex
    with Merchant(gateway.url, gateway.api_key) as first_client:
        first = first_client.pay(key)
    assert first.status_code == 201
    down(gateway.data_dir)
    assert marked_processes(DataDir(gateway.data_dir).instance) == []
    # The tests after this one go on with it: a restart changes nothing that they could see.
    again_running = up(gateway.data_dir, "--port", str(urlsplit(gateway.url).port), *TEST_OPTIONS, **TEST_ENVIRONMENT)
    assert {**again_running.facts, "pid": 0} == {**gateway.facts, "pid": 0}
    with Merchant(again_running.url, again_running.api_key) as client:
        again = client.pay(key)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
