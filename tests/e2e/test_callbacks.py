"""An acquirer calls a whole gateway back, through its ingress: what was signed arrives as it was."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.e2e.gateway import TEST_ENVIRONMENT, TEST_OPTIONS, running_gateway
from tests.e2e.merchant import new_merchant
from tests.support.acquirer import AcquirerProcess
from tests.support.polling import eventually
from tests.support.ports import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

_SECRET = "whsec_dGhlIGFjcXVpcmVyJ3Mgc2VjcmV0IG9mIGFuIGUyZSB0ZXN0"
_PATH = "/v1/processors/acquirer/callbacks"
_COUNT = re.compile(r'^easypay_processor_callbacks_total\{.*processor="acquirer".*\} (\d+)', re.MULTILINE)


def test_an_acquirer_calls_back(tmp_path: Path) -> None:
    """Each of its callbacks is verified and counted once; one that nobody signed is refused."""
    port = free_port()
    callback_url = f"http://127.0.0.1:{port}{_PATH}"
    acquirer = AcquirerProcess(tmp_path / "ledger.db", callback_url=callback_url, callback_secret=_SECRET)
    environment = {**TEST_ENVIRONMENT, "PROCESSOR_URL": acquirer.url, "PROCESSOR_CALLBACK_SECRET": _SECRET}
    try:
        with running_gateway("--port", str(port), *TEST_OPTIONS, **environment) as gateway:
            admin = {"Authorization": f"Bearer {gateway.facts['admin_key']}"}
            with new_merchant(gateway) as merchant, httpx.Client(base_url=gateway.url, timeout=30) as http:
                assert [merchant.pay().status_code for _ in range(5)] == [201] * 5
                # The processor is silent: the answer is what the callback has told.
                told = merchant.pay(payment_method="tok_timeout_charged")
                assert (told.status_code, told.json()["status"]) == (201, "captured")
                assert http.post(_PATH, json={"type": "operation.finished"}).status_code == 401

                def counted() -> int:
                    found = _COUNT.findall(http.get("/metrics", headers=admin).text)
                    return sum(map(int, found))

                assert eventually(counted, lambda count: count >= 6, within_s=20) == 6
                standing = http.get("/ops/api/ledger", headers=admin).json()
                assert (standing["data"], standing["has_more"]) == ([], False)
    finally:
        acquirer.kill()
