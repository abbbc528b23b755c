"""The operations page of a gateway of two replicas, through its ingress."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.gateway import RunningGateway
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow]
_PANELS = {"breakers", "cache", "pool", "tasks", "webhooks", "database"}


@pytest.fixture
def operator(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """Return the client of an operator who is signed in."""
    with httpx.Client(base_url=gateway.url, timeout=30, headers={"sec-fetch-site": "same-origin"}) as client:
        key = gateway.facts["admin_key"]
        # A Redis that is late for a second has it refused once.
        eventually(
            lambda: client.post("/ops/session", headers={"authorization": f"Bearer {key}"}).status_code,
            lambda status: status == 200,
            within_s=60,
        )
        yield client


def test_nobody_gets_in_without_a_key(anonymous: httpx.Client) -> None:
    """The ingress lets the page's own refusal through."""
    shown = anonymous.get("/ops")
    assert (shown.status_code, shown.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert anonymous.get("/ops/events").status_code == 401


def test_every_replica_knows_the_session(operator: httpx.Client) -> None:
    """Until it is ended on one of them."""
    for _ in range(20):
        assert operator.get("/ops/session", headers={"connection": "close"}).status_code == 200
    token = next(iter(operator.cookies.values()))
    name = next(iter(operator.cookies.keys()))
    eventually(lambda: operator.delete("/ops/session").status_code, lambda status: status in (204, 401), within_s=60)
    for _ in range(20):
        # A replica that cannot ask Redis at the moment lets a session that it knew look on.
        eventually(
            lambda: (
                operator.get("/ops/session", headers={"connection": "close", "cookie": f"{name}={token}"}).status_code
            ),
            lambda status: status == 401,
            within_s=60,
        )


def test_the_stream_is_live_through_the_ingress(operator: httpx.Client) -> None:
    """Every panel of the actors comes at once, and more of them while it is open."""
    found: dict[str, Any] = {}
    told: list[float] = []
    name = ""
    with operator.stream("GET", "/ops/events") as answer:
        assert answer.status_code == 200
        give_up = time.monotonic() + 60
        for line in answer.iter_lines():
            assert time.monotonic() < give_up, sorted(found)
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
                told.append(time.monotonic())
            elif line.startswith("data: ") and name != "away":
                data = json.loads(line.removeprefix("data: "))
                # A scheduler that is late for once is told as null.
                if name != "tasks" or data["scheduler"] is not None:
                    found[name] = data
            if found.keys() >= _PANELS and len(told) > len(_PANELS) + 5:
                break
    assert {each["state"] for each in found["breakers"]["data"]} <= {"closed", "open", "half_open"}
    assert found["pool"]["budget"] > 0
    assert found["tasks"]["scheduler"] is not None


def test_an_operator_s_action_is_audited(operator: httpx.Client, gateway: RunningGateway) -> None:
    """In the trail of the key that the session began with, whose pages are cached."""
    headers = {"authorization": f"Bearer {gateway.facts['admin_key']}"}
    operator.get("/v1/audit_log", headers=headers).raise_for_status()
    answer = operator.post("/ops/api/cache/invalidate", json={"models": ["payment"]})
    assert answer.status_code == 200
    newest = eventually(
        lambda: operator.get("/v1/audit_log", headers=headers).json()["data"][0],
        lambda entry: entry["request_id"] == answer.headers["x-request-id"],
        within_s=60,
    )
    assert (newest["action"], newest["object_id"]) == ("cache.invalidate", "payment")
