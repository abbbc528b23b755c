"""What survives `easypay down` and `easypay up`: data, keys and answers."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

import pytest

from cluster.data_dir import DataDir
from cluster.instance import marked_processes
from tests.e2e.gateway import down, up
from tests.e2e.merchant import Merchant
from tests.support.ports import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.timeout(300)
def test_a_key_replays_after_a_restart() -> None:
    """The same key gets the same bytes, the API keys still work, and nothing of ours runs in between."""
    with tempfile.TemporaryDirectory(prefix="easypay-test-") as folder:
        data_dir, port, key = Path(folder) / "data", str(free_port()), uuid.uuid4().hex
        first_run = up(data_dir, "--port", port, "--replicas", "1")
        with Merchant(first_run.url, first_run.api_key) as merchant:
            first = merchant.pay(key)
        assert first.status_code == 201
        down(data_dir)
        assert marked_processes(DataDir(data_dir).instance) == []
        second_run = up(data_dir, "--port", port, "--replicas", "1")
        try:
            assert second_run.api_key == first_run.api_key
            with Merchant(second_run.url, second_run.api_key) as merchant:
                again = merchant.pay(key)
            assert (again.status_code, again.content) == (201, first.content)
            assert again.headers["idempotent-replayed"] == "true"
        finally:
            down(data_dir)
