"""A merchant takes, captures, voids, refunds, changes, reads and lists payments over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from serve_app.payments.schemas import PaymentView
from serve_app.refunds.schemas import RefundView
from tests.e2e.merchant import Merchant
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def _id(answer: Any) -> str:
    assert answer.status_code in {200, 201, 202}, answer.text
    return str(answer.json()["id"])


def test_a_payment_is_captured_at_once_by_default(merchant: Merchant) -> None:
    """201, captured, and the same when it is read."""
    answer = merchant.pay(description="Order 7", customer="cus_1", metadata={"order": "7"})
    assert answer.status_code == 201
    payment = answer.json()
    PaymentView.model_validate(payment)
    assert (payment["status"], payment["amount"], payment["amount_captured"]) == ("captured", 1999, 1999)
    assert payment["payment_method"] == {"token": "tok_visa", "brand": "visa", "last4": "4242"}
    assert payment["livemode"] is False
    assert payment["created_at"].endswith("Z")
    assert merchant.payment(payment["id"]) == payment


@pytest.mark.parametrize(
    ("token", "status", "code", "state"),
    [
        ("tok_mastercard", 201, None, "captured"),
        ("tok_amex", 201, None, "captured"),
        ("tok_slow", 201, None, "captured"),
        ("tok_declined", 402, "payment_declined", "declined"),
        ("tok_insufficient_funds", 402, "payment_declined", "declined"),
        ("tok_expired_card", 402, "payment_declined", "declined"),
        ("tok_processor_error", 502, "processor_failed", "failed"),
    ],
)
def test_each_token_ends_as_it_promises(
    merchant: Merchant, token: str, status: int, code: str | None, state: str
) -> None:
    """Approved, declined with the payment and a decline code, or failed with the payment; and the key replays it."""
    key = f"{token}-{merchant.key_id}"
    answer = merchant.pay(key, payment_method=token, amount=500)
    assert answer.status_code == status, answer.text
    body = answer.json()
    payment = body if code is None else body["payment"]
    assert payment["status"] == state
    if code is not None:
        assert body["code"] == code
        assert answer.headers["content-type"] == "application/problem+json"
    if state == "declined":
        assert body["decline_code"] == payment["decline_code"] is not None
    again = merchant.pay(key, payment_method=token, amount=500)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (status, "true")
    assert (again.json() if code is None else again.json()["payment"]) == payment


@pytest.mark.parametrize(
    ("token", "status", "state"),
    [("tok_timeout_charged", 201, "captured"), ("tok_timeout_not_charged", 502, "failed")],
)
def test_a_time_out_ends_in_the_truth_once(merchant: Merchant, token: str, status: int, state: str) -> None:
    """202 with the payment processing, within ten seconds the truth, and the key then answers with it."""
    key = f"{token}-{merchant.key_id}"
    answer = merchant.pay(key, payment_method=token)
    assert answer.status_code == 202, answer.text
    payment = answer.json()
    assert payment["status"] == "processing"
    final = eventually(
        lambda: merchant.payment(payment["id"]), lambda found: found["status"] != "processing", within_s=10
    )
    assert final["status"] == state
    assert merchant.pay(key, payment_method=token).status_code == status
    timeline = merchant.get(f"/v1/payments/{payment['id']}/timeline").json()["data"]
    assert [item["kind"] for item in timeline].count("attempt_finished") == 1
    assert [item["kind"] for item in timeline].count("posting") == (1 if state == "captured" else 0)


def test_a_held_payment_is_captured_in_part_or_voided(merchant: Merchant) -> None:
    """A capture of a part releases the rest; a void releases all; neither can be done twice."""
    held = _id(merchant.pay(capture=False))
    captured = merchant.post(f"/v1/payments/{held}/capture", {"amount": 500})
    assert (captured.status_code, captured.json()["status"], captured.json()["amount_captured"]) == (
        200,
        "captured",
        500,
    )
    assert merchant.post(f"/v1/payments/{held}/capture").json()["code"] == "conflict"
    other = _id(merchant.pay(capture=False))
    voided = merchant.post(f"/v1/payments/{other}/void")
    assert (voided.status_code, voided.json()["status"]) == (200, "voided")
    assert merchant.post(f"/v1/payments/{other}/capture").status_code == 409


def test_a_capture_of_more_than_authorized_names_the_field(merchant: Merchant) -> None:
    """422 with the field, and nothing changed."""
    held = _id(merchant.pay(capture=False, amount=100))
    refused = merchant.post(f"/v1/payments/{held}/capture", {"amount": 101})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "amount")
    assert merchant.payment(held)["status"] == "authorized"


def test_refunds_add_up(merchant: Merchant) -> None:
    """Two partial refunds that sum to the capture end refunded; a third is a conflict."""
    paid = _id(merchant.pay(amount=1000))
    first = merchant.post(f"/v1/payments/{paid}/refunds", {"amount": 400, "reason": "broken"})
    assert first.status_code == 201, first.text
    RefundView.model_validate(first.json())
    assert merchant.payment(paid)["status"] == "partially_refunded"
    rest = merchant.post(f"/v1/payments/{paid}/refunds")
    assert rest.json()["amount"] == 600
    assert (merchant.payment(paid)["status"], merchant.payment(paid)["amount_refunded"]) == ("refunded", 1000)
    assert merchant.post(f"/v1/payments/{paid}/refunds", {"amount": 1}).status_code == 409
    listed = merchant.get(f"/v1/payments/{paid}/refunds").json()
    assert [refund["id"] for refund in listed["data"]] == [rest.json()["id"], first.json()["id"]]
    assert merchant.get(f"/v1/refunds/{first.json()['id']}").json() == first.json()


def test_two_refunds_at_once_that_exceed_the_capture(merchant: Merchant) -> None:
    """Exactly one succeeds, whichever replicas they meet."""
    for _ in range(10):
        paid = _id(merchant.pay(amount=1000))
        path = f"/v1/payments/{paid}/refunds"
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda target: merchant.post(target, {"amount": 600}), [path] * 4))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
        assert merchant.payment(paid)["amount_refunded"] == 600


def test_a_change_raises_the_version(merchant: Merchant) -> None:
    """PATCH changes what it names and leaves the rest."""
    before = merchant.pay(description="old", metadata={"a": "1"}).json()
    changed = merchant.http.patch(f"/v1/payments/{before['id']}", json={"description": "new"})
    assert changed.status_code == 200
    after = changed.json()
    assert (after["description"], after["metadata"]) == ("new", {"a": "1"})
    assert after["version"] > before["version"]
    assert merchant.payment(before["id"]) == after


def test_pages_walk_all_payments_newest_first(merchant: Merchant) -> None:
    """Keyset pages of any size give every payment once; filters by status and time hold."""
    made = [_id(merchant.pay(capture=index % 2 == 0, amount=100 + index)) for index in range(7)]
    walked: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = merchant.get("/v1/payments", **query).json()
        walked += [payment["id"] for payment in page["data"]]
        if not page["has_more"]:
            break
        query["starting_after"] = walked[-1]
    assert sorted(walked) == sorted(made)
    assert walked == sorted(walked, reverse=True)
    held = merchant.get("/v1/payments", status="authorized").json()["data"]
    assert len(held) == 3
    newest = datetime.fromisoformat(merchant.payment(walked[0])["created_at"])
    assert merchant.get("/v1/payments", created_gte=(newest + timedelta(seconds=1)).isoformat()).json()["data"] == []
    assert len(merchant.get("/v1/payments", created_lt=newest.isoformat()).json()["data"]) == 6


def test_a_payment_tells_its_life(merchant: Merchant) -> None:
    """The timeline has every attempt, posting and event, in order."""
    held = _id(merchant.pay(capture=False, amount=1000))
    merchant.post(f"/v1/payments/{held}/capture")
    merchant.post(f"/v1/payments/{held}/refunds", {"amount": 250})
    items = merchant.get(f"/v1/payments/{held}/timeline").json()["data"]
    assert [item["at"] for item in items] == sorted(item["at"] for item in items)
    postings = [(item["data"]["debit"], item["data"]["amount"]) for item in items if item["kind"] == "posting"]
    assert postings == [("processor_receivable", 1000), ("merchant_payable", 250)]
    events = [item["data"]["type"] for item in items if item["kind"] == "event"]
    assert sorted(events) == [
        "payment.authorized",
        "payment.captured",
        "payment.partially_refunded",
        "refund.succeeded",
    ]


def test_the_audit_trail_says_who(merchant: Merchant) -> None:
    """Each change is an entry with the key that made it."""
    paid = _id(merchant.pay())
    entries = merchant.get("/v1/audit_log", limit=5).json()["data"]
    mine = [entry for entry in entries if entry["object_id"] == paid]
    assert [(entry["action"], entry["api_key"]) for entry in mine] == [("payment.create", merchant.key_id)]
