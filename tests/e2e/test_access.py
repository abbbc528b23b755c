"""Who may do what: keys, scopes, and other merchants' objects."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from cluster.data_dir import DataDir
from cluster.settings import read_settings
from serve_app.merchants.administration import create_key
from tests.e2e.gateway import RunningGateway, easypay
from tests.e2e.merchant import Merchant, new_merchant
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow]

# What the page to sign in at is made of is in every copy of this project.
_OPEN = {"/health/live", "/health/ready", "/docs", "/openapi.json", "/ops/assets/{version}/{name}"}
_SIGNED = {"/v1/processors/{name}/callbacks"}


def _routes(anonymous: httpx.Client) -> list[tuple[str, str]]:
    document = anonymous.get("/openapi.json").json()
    methods = ("get", "post", "put", "patch", "delete")
    return [
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in methods
        if method in item and path not in _OPEN | _SIGNED
    ]


def _example(operation: dict[str, Any]) -> Any:
    return operation["requestBody"]["content"]["application/json"]["example"]


def test_every_route_needs_a_key(anonymous: httpx.Client) -> None:
    """Without one, with a wrong one, with one in the query string: 401 and nothing else."""
    for method, path in _routes(anonymous):
        target = re.sub(r"{(\w+)_id}", "x_" + "0" * 32, path)
        for headers in ({}, {"Authorization": "Bearer sk_test_" + "x" * 32}, {"Authorization": "Basic abc"}):
            answer = anonymous.request(method, target, headers=headers, json={} if method != "GET" else None)
            if path == "/ops":
                # People see where to sign in.
                assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
                continue
            assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required"), (
                method,
                path,
            )
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert anonymous.get("/v1/payments?api_key=sk_test_x").status_code == 401


def test_signed_messages_have_no_place_without_a_secret(anonymous: httpx.Client, merchant: Merchant) -> None:
    """404 for every processor, with a merchant's key too: this gateway's calls nobody back."""
    for client in (anonymous, merchant.http):
        for name in ("acquirer", "live", "simulator", "%00"):
            answer = client.post(f"/v1/processors/{name}/callbacks", json={})
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_another_merchant_s_objects_do_not_exist(
    anonymous: httpx.Client, merchant: Merchant, other_merchant: Merchant
) -> None:
    """Over every route of merchants that names an object: 404, and the object is as it was."""
    paid = merchant.pay(amount=1000).json()
    refund = merchant.post(f"/v1/payments/{paid['id']}/refunds", {"amount": 100}).json()
    held = merchant.pay(capture=False).json()
    hook = {"url": "https://hooks.example.com/", "events": ["*"]}
    endpoint = merchant.post("/v1/webhook_endpoints", hook).json()
    told = merchant.pay(amount=100).json()["id"]
    delivery = merchant.get("/v1/webhook_deliveries", endpoint=endpoint["id"]).json()["data"][0]
    others = {"refund_id": refund["id"], "endpoint_id": endpoint["id"], "delivery_id": delivery["id"]}
    others["event_id"] = delivery["event"]
    document = anonymous.get("/openapi.json").json()
    before = {name: merchant.payment(name) for name in (paid["id"], held["id"], told)}
    secret = endpoint.pop("secret")
    tried = 0
    for method, path in _routes(anonymous):
        if "{" not in path or not path.startswith("/v1/"):
            continue
        for payment_id in (paid["id"], held["id"]):
            target = path.format(payment_id=payment_id, **others)
            body = None if method in ("GET", "DELETE") else _example(document["paths"][path][method.lower()])
            answer = other_merchant.http.request(method, target, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path)
            tried += 1
    assert tried >= 30
    assert {name: merchant.payment(name) for name in before} == before
    # Nobody listens there: whether that was found out by now is of no matter.
    after = merchant.get(f"/v1/webhook_endpoints/{endpoint['id']}").json()
    assert {**after, "failing_since": None} == endpoint
    assert secret not in other_merchant.get("/v1/webhook_endpoints").text
    assert other_merchant.get("/v1/webhook_deliveries").json()["data"] == []
    assert other_merchant.get("/v1/events").json()["data"] == []
    assert other_merchant.get("/v1/payments").json()["data"] == []
    seen = other_merchant.get("/v1/audit_log").json()["data"]
    assert [entry["object_id"] for entry in seen] == [other_merchant.key_id]


def test_live_and_test_mode_are_apart(gateway: RunningGateway) -> None:
    """A live key sees no test payment, and without a live processor takes no payment."""
    with new_merchant(gateway) as test, new_merchant(gateway, "--live") as live:
        paid = test.pay().json()["id"]
        assert live.api_key.startswith("sk_live_")
        assert live.get(f"/v1/payments/{paid}").status_code == 404
        refused = live.pay()
        assert (refused.status_code, refused.json()["code"]) == (503, "processor_unavailable")
        assert "retry-after" in refused.headers


def test_a_key_does_what_its_scopes_say(gateway: RunningGateway) -> None:
    """A key that may read cannot write, and the answer names the scope."""
    with new_merchant(gateway, scopes=("payments:read",)) as reader:
        refused = reader.pay()
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        assert "payments:write" in refused.text
        assert reader.get("/v1/payments").status_code == 200
        assert reader.get("/v1/audit_log").status_code == 403


def test_a_revoked_key_stops_working_within_five_seconds(gateway: RunningGateway) -> None:
    """At every replica."""
    with new_merchant(gateway) as merchant:
        assert [merchant.get("/v1/payments").status_code for _ in range(8)] == [200] * 8
        revoked = easypay("keys", "revoke", merchant.key_id, "--data-dir", str(gateway.data_dir))
        assert revoked.returncode == 0, revoked.stderr
        eventually(
            lambda: {merchant.get("/v1/payments").status_code for _ in range(8)},
            lambda statuses: statuses == {401},
            within_s=5,
        )


def test_an_expired_key_does_not_work(gateway: RunningGateway) -> None:
    """A key made to expire in the past is refused."""
    pepper = read_settings(DataDir(gateway.data_dir).settings_file).api_key_pepper
    assert pepper is not None
    issued = asyncio.run(
        create_key(
            gateway.facts["database_url"],
            pepper.get_secret_value().encode(),
            merchant="Late",
            scopes=["payments:read"],
            expires_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    )
    with Merchant(gateway.url, issued.api_key) as late:
        assert late.get("/v1/payments").status_code == 401


def test_keys_are_listed_without_themselves(gateway: RunningGateway, merchant: Merchant) -> None:
    """The list shows what a key may do and its last four characters."""
    listed = easypay("keys", "list", "--json", "--data-dir", str(gateway.data_dir))
    assert merchant.api_key not in listed.stdout
    mine = [key for key in json.loads(listed.stdout) if key["id"] == merchant.key_id]
    assert [key["last4"] for key in mine] == [merchant.api_key[-4:]]


def test_an_unknown_object_is_a_404(merchant: Merchant) -> None:
    """Well formed or not, an id that names nothing is not found."""
    for name in (
        "pay_" + uuid.uuid4().hex,
        "pay_x",
        "rf_" + uuid.uuid4().hex,
        "nonsense",
        "%00",
        "pay_" + "Z" * 32,
    ):
        answer = merchant.get(f"/v1/payments/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), name
