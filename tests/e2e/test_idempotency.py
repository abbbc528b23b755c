"""One key, one charge, one answer."""

from __future__ import annotations

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.merchant import Merchant

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_fifty_at_once_with_one_key_are_one_charge(merchant: Merchant) -> None:
    """Every answer is the same payment, or a 409 that says to repeat."""
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: merchant.pay(key, payment_method="tok_slow"), range(50)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409}, statuses
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(merchant.get("/v1/payments").json()["data"]) == 1
    refused = [answer for answer in answers if answer.status_code == 409]
    assert all(answer.json()["code"] == "idempotency_in_progress" for answer in refused)


def test_five_hundred_with_one_key_leave_capacity_for_others(merchant: Merchant) -> None:
    """While they wait or are refused, other payments go through at once."""
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(130) as pool:
        same = [pool.submit(merchant.pay, key, payment_method="tok_slow") for _ in range(500)]
        others = [merchant.pay() for _ in range(20)]
        statuses = Counter(answer.result().status_code for answer in same)
    assert [answer.status_code for answer in others] == [201] * 20
    assert max(answer.elapsed.total_seconds() for answer in others) < 2.0
    assert set(statuses) <= {201, 409}


def test_another_body_under_a_used_key_is_refused(merchant: Merchant) -> None:
    """422, whether the first is finished or still running, and whatever the route."""
    key = uuid.uuid4().hex
    first = merchant.pay(key)
    other = merchant.pay(key, amount=1)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    elsewhere = merchant.post(f"/v1/payments/{first.json()['id']}/refunds", {"amount": 1}, key)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "idempotency_mismatch")


def test_white_space_and_order_do_not_make_another_request(merchant: Merchant) -> None:
    """The request counts as it is understood."""
    key = uuid.uuid4().hex
    first = merchant.pay(key, metadata={"a": "1", "b": "2"})
    text = """{ "metadata": {"b":"2", "a":"1"},  "payment_method":"tok_visa",
        "currency":"USD", "amount":1999, "capture": true}"""
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    again = merchant.http.post("/v1/payments", content=text, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)


@pytest.mark.parametrize("operation", ["capture", "void"])
def test_an_operation_replays(merchant: Merchant, operation: str) -> None:
    """A repeat of a capture or void gets the first answer, though the state forbids a second one."""
    held = merchant.pay(capture=False).json()["id"]
    key = uuid.uuid4().hex
    first = merchant.post(f"/v1/payments/{held}/{operation}", key=key)
    again = merchant.post(f"/v1/payments/{held}/{operation}", key=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"


def test_without_a_key_a_repeat_is_a_new_payment(merchant: Merchant) -> None:
    """The header is recommended, not required."""
    assert merchant.pay("").json()["id"] != merchant.pay("").json()["id"]


def test_a_key_belongs_to_its_merchant(merchant: Merchant, other_merchant: Merchant) -> None:
    """Two merchants may use the same key."""
    key = uuid.uuid4().hex
    assert merchant.pay(key).json()["id"] != other_merchant.pay(key).json()["id"]
