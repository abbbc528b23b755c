"""Replicas come, go and are replaced under payments, and nobody is told of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.chaos.redeploy import PREDICTIVE, redeploy
from tests.chaos.replicas import replica_urls
from tests.chaos.steady import SteadyPayments
from tests.e2e.gateway import RunningGateway

_PAYMENTS = int(os.environ.get("EASYPAY_TEST_SCALE_PAYMENTS", "0"))
"""How many payments in all; the project's own mark is 100,000 at a third of the knee (EASYPAY_TEST_RATE)."""

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.parametrize("kind", ["embedded"], indirect=True, scope="package"),
]

_SCALED_WITHIN_S = 120.0
_STAGES = 5


async def _until_replicas(gateway: RunningGateway, count: int) -> None:
    """Wait until so many replicas listen."""
    async with asyncio.timeout(_SCALED_WITHIN_S):
        while len(await asyncio.to_thread(replica_urls, gateway.data_dir)) != count:
            await asyncio.sleep(0.5)


async def _run(gateway: RunningGateway, wanted: Path) -> None:
    async with SteadyPayments(gateway) as payments:
        for stage, count in enumerate((1, 3, 1), 1):
            await asyncio.to_thread(wanted.write_text, str(count))
            if stage == 1:
                await asyncio.to_thread(redeploy, gateway, wanted)
            await _until_replicas(gateway, count)
            await payments.until_asked(_PAYMENTS * stage // _STAGES)
            print(f"{count} replicas: {dict(payments.answers.counts)} {payments.answers.failures[:3]}")
        before = set(await asyncio.to_thread(replica_urls, gateway.data_dir))
        await asyncio.to_thread(redeploy, gateway, 1)
        await payments.until_asked(_PAYMENTS * 4 // _STAGES)
        await asyncio.to_thread(redeploy, gateway, 2)
        await payments.until_asked(_PAYMENTS)
        after = set(await asyncio.to_thread(replica_urls, gateway.data_dir))
        answers = await payments.end()
    print(f"{answers.asked} payments, {dict(answers.counts)}, the slowest took {answers.slowest_s:.2f} s")
    assert before.isdisjoint(after), "a redeploy replaces every replica"
    assert answers.failures == []


@pytest.mark.timeout(4 * 3600)
def test_nobody_notices_replicas_that_come_and_go(gateway: RunningGateway, tmp_path: Path) -> None:
    """From one to three and back by Serve's autoscaling, then two redeploys, the first of a single replica."""
    asyncio.run(_run(gateway, tmp_path / "replicas"))


async def _scaled_by_load(gateway: RunningGateway) -> None:
    await asyncio.to_thread(redeploy, gateway, PREDICTIVE)
    await _until_replicas(gateway, 1)
    async with SteadyPayments(gateway) as payments:
        await _until_replicas(gateway, 3)
        answers = await payments.end()
    print(f"three replicas after {answers.asked} payments, {dict(answers.counts)}")
    assert answers.failures == []


@pytest.mark.timeout(900)
def test_our_policy_scales_by_what_replicas_report(gateway: RunningGateway) -> None:
    """A real load of real replicas reaches the policy in Serve's controller, and brings more of them."""
    asyncio.run(_scaled_by_load(gateway))
