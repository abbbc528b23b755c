"""A client that hangs up, or sends Serve's own timeout headers, cancels no payment."""

from __future__ import annotations

import json
import socket
import uuid
from urllib.parse import urlsplit

import pytest

from tests.e2e.merchant import Merchant
from tests.support.polling import eventually

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def _request(merchant: Merchant, key: str, *extra: str) -> bytes:
    body = json.dumps({"amount": 700, "currency": "USD", "payment_method": "tok_slow"})
    lines = [
        "POST /v1/payments HTTP/1.1",
        f"Host: {merchant.http.base_url.host}",
        f"Authorization: Bearer {merchant.api_key}",
        f"Idempotency-Key: {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *extra,
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


def test_a_client_that_hangs_up_has_paid(merchant: Merchant) -> None:
    """The connection is closed right after the request; the payment ends captured, and its key answers with it."""
    key = uuid.uuid4().hex
    address = urlsplit(str(merchant.http.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(_request(merchant, key))
        eventually(lambda: merchant.get("/v1/payments").json()["data"], bool, within_s=5)
    paid = eventually(
        lambda: merchant.get("/v1/payments").json()["data"],
        lambda payments: payments[0]["status"] == "captured",
        within_s=10,
    )
    again = merchant.pay(key, payment_method="tok_slow", amount=700)
    assert (again.status_code, again.json()["id"]) == (201, paid[0]["id"])


@pytest.mark.parametrize(
    "header", ["x-request-timeout-seconds: 0.2", "x-request-disconnect-disabled: ?0", "X-Request-Timeout-Seconds: 0.01"]
)
def test_serve_s_own_headers_do_nothing(merchant: Merchant, header: str) -> None:
    """A timeout of a fraction of a second does not cut a payment of two seconds off."""
    name, value = header.split(": ")
    answer = merchant.http.post(
        "/v1/payments",
        json={"amount": 700, "currency": "USD", "payment_method": "tok_slow"},
        headers={"Idempotency-Key": uuid.uuid4().hex, name: value},
    )
    assert (answer.status_code, answer.json()["status"]) == (201, "captured")
