"""Every event arrives, at a receiver that fails at random, while the scheduler and workers are killed."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from tests.chaos.clients import client_of, pay
from tests.chaos.killer import TASK_SCHEDULER, TASK_WORKER, Killer
from tests.chaos.seeds import printed_seed
from tests.e2e.gateway import RunningGateway
from tests.support.webhook_receiver import WebhookReceiver, failing, receiving

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.parametrize("kind", ["embedded"], indirect=True, scope="package"),
]

# By hand: EASYPAY_TEST_PAYMENTS=10000 EASYPAY_TEST_KILLS=10.
_PAYMENTS = int(os.environ.get("EASYPAY_TEST_PAYMENTS", "300"))
_KILLS = int(os.environ.get("EASYPAY_TEST_KILLS", "2"))
_AT_ONCE = 16
_FAILING_SHARE = 0.2
_KILL_EVERY_S = 3.0
_QUIET_S = 6.0
"""Longer than the first pause after a failure, and than a scheduler takes to come back."""
_ARRIVED_WITHIN_S = 60.0 + _PAYMENTS / 20


async def _call(http: aiohttp.ClientSession, method: str, path: str, **arguments: Any) -> dict[str, Any]:
    async with http.request(method, path, **arguments) as answer:
        assert answer.status in {200, 201}, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def _pay_all(http: aiohttp.ClientSession) -> set[str]:
    """Take the payments and refund every other one; return the ids of the payments."""
    numbers = iter(range(_PAYMENTS))
    paid: set[str] = set()

    async def some() -> None:
        for number in numbers:
            payment = await pay(http, capture=True)
            paid.add(payment["id"])
            if number % 2:
                await _call(http, "POST", f"/v1/payments/{payment['id']}/refunds", json={"amount": 100})

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return paid


async def _kill(killer: Killer) -> None:
    """The scheduler as often as promised, and a worker after each."""
    for number in range(_KILLS):
        for title in (TASK_SCHEDULER, TASK_WORKER):
            while await asyncio.to_thread(killer.kill_one, title) is None:
                await asyncio.sleep(0.1)
            print(f"kill {number + 1}: {title}")
            await asyncio.sleep(_KILL_EVERY_S)


async def _feed(http: aiohttp.ClientSession) -> dict[str, Mapping[str, Any]]:
    """Pull every event, page by page, as who has missed some would."""
    events: dict[str, Mapping[str, Any]] = {}
    after: str | None = None
    while True:
        page = await _call(
            http, "GET", "/v1/events", params={"limit": "100", **({"after": after} if after is not None else {})}
        )
        events |= {event["id"]: event for event in page["data"]}
        if not page["has_more"]:
            return events
        after = page["data"][-1]["id"]


async def _until_all_arrived(
    http: aiohttp.ClientSession, receiver: WebhookReceiver, endpoint: str, wanted: Set[str], since: datetime
) -> int:
    """Wait until all have arrived; what hangs in the longer pauses of the schedule is asked for again.

    Return how often that was.
    """
    asked = 0
    async with asyncio.timeout(_ARRIVED_WITHIN_S):
        while not wanted <= receiver.taken().keys():
            known = len(receiver.received)
            await asyncio.sleep(_QUIET_S)
            if len(receiver.received) == known and not wanted <= receiver.taken().keys():
                asked += 1
                body = {"since": since.isoformat()}
                await _call(http, "POST", f"/v1/webhook_endpoints/{endpoint}/redeliver", json=body)
    return asked


def _payment_of(event: Mapping[str, Any]) -> str:
    """Return the payment that an event is about, or whose refund it is about."""
    data: Mapping[str, str] = event["data"]
    return data.get("payment", data["id"])


def _check_sequences(events: Mapping[str, Mapping[str, Any]]) -> None:
    by_object: dict[str, list[int]] = defaultdict(list)
    for event in events.values():
        by_object[event["data"]["id"]].append(event["sequence"])
    for name, sequences in by_object.items():
        assert sequences == list(range(1, len(sequences) + 1)), f"{name} has {sequences}"


async def _run(gateway: RunningGateway, seed: int) -> None:
    since = datetime.now(UTC)
    loop = asyncio.get_running_loop()
    async with client_of(gateway) as http, receiving(failing(_FAILING_SHARE, seed)) as receiver:
        made = await _call(http, "POST", "/v1/webhook_endpoints", json={"url": receiver.url, "events": ["*"]})
        receiver.secrets.append(made["secret"])
        killing = asyncio.create_task(_kill(Killer(gateway.data_dir, seed)))
        began = loop.time()
        paid = await _pay_all(http)
        paid_s = loop.time() - began
        await killing
        # Other tests have paid with the same key before.
        told = {name: event for name, event in (await _feed(http)).items() if _payment_of(event) in paid}
        asked = await _until_all_arrived(http, receiver, made["id"], told.keys(), since)
        tries = len(receiver.received)
        print(
            f"{len(paid)} payments in {paid_s:.1f} s, {len(told)} events, all there after {loop.time() - began:.1f} s"
        )
        print(f"{tries} tries, {tries - len(receiver.taken())} failed or were repeats; asked for again {asked} times")
        assert receiver.forged == 0
        assert {_payment_of(event) for event in told.values()} == paid
        _check_sequences(told)
        newest = {event["data"]["id"]: event["sequence"] for event in told.values()}
        current = receiver.current()
        assert {name: current[name]["sequence"] for name in newest} == newest
        async with http.delete(f"/v1/webhook_endpoints/{made['id']}") as answer:
            assert answer.status == 204


@pytest.mark.timeout(300 + _PAYMENTS // 10)
def test_every_event_arrives(gateway: RunningGateway) -> None:
    """With a valid signature, at least once; the feed has no gap in the sequence of any object."""
    asyncio.run(_run(gateway, printed_seed()))
