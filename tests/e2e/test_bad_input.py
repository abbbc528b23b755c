"""Bad input gets a problem that names the fault and the field; nothing leaks."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.merchant import Merchant

pytestmark = [pytest.mark.ray, pytest.mark.slow]

_CARD = "4242424242424242"


def _problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert {"type", "title", "detail", "request_id"} <= set(problem)
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 19.99}, "amount"),
        ({"amount": "1999"}, "amount"),
        ({"amount": 10**13}, "amount"),
        ({"amount": True}, "amount"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"payment_method": "tok_nobody"}, "payment_method"),
        ({"payment_method": _CARD}, "payment_method"),
        ({"description": f"card {_CARD}"}, "description"),
        ({"customer": "4242 4242 4242 4242"}, "customer"),
        ({"metadata": {"card": "4242-4242-4242-4242"}}, "metadata.card"),
        ({"metadata": {_CARD: "x"}}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {f"k{index}": "v" for index in range(51)}}, "metadata"),
        ({"description": "nul \x00"}, "description"),
        ({"colour": "blue"}, "colour"),
        ({"capture": "yes"}, "capture"),
    ],
)
def test_a_wrong_member_is_named(merchant: Merchant, members: dict[str, Any], field: str) -> None:
    """422 with the field, and never a card number in the answer."""
    answer = merchant.pay(**members)
    problem = _problem(answer, 422, "validation_failed")
    assert any(error["field"].startswith(field) for error in problem["errors"]), problem
    if _CARD not in field:
        assert _CARD not in answer.text
    assert merchant.get("/v1/payments").json()["data"] == []


def test_a_missing_member_is_named(merchant: Merchant) -> None:
    """Each one."""
    problem = _problem(merchant.post("/v1/payments", {}), 422, "validation_failed")
    assert {error["field"] for error in problem["errors"]} == {"amount", "currency", "payment_method"}


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"amount": 1,}', b"\xff\xfe"])
def test_what_is_not_json_is_an_invalid_request(merchant: Merchant, body: bytes) -> None:
    """400."""
    answer = merchant.http.post("/v1/payments", content=body, headers={"Content-Type": "application/json"})
    _problem(answer, 400, "invalid_request")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null"])
def test_json_of_another_shape_is_refused(merchant: Merchant, body: bytes) -> None:
    """422: it is JSON, and not an object."""
    answer = merchant.http.post("/v1/payments", content=body, headers={"Content-Type": "application/json"})
    _problem(answer, 422, "validation_failed")


def test_another_content_type_is_refused(merchant: Merchant) -> None:
    """415, also without one."""
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
    ):
        answer = merchant.http.post("/v1/payments", content=b"{}", headers=headers)
        _problem(answer, 415, "unsupported_media_type")


def test_a_body_above_64_kib_is_refused(merchant: Merchant) -> None:
    """413, with a length and in chunks."""
    body = b'{"description": "' + b"x" * 70_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    _problem(merchant.http.post("/v1/payments", content=body, headers=headers), 413, "payload_too_large")
    chunks = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
    _problem(merchant.http.post("/v1/payments", content=chunks, headers=headers), 413, "payload_too_large")


def test_an_unknown_route_and_a_wrong_method(merchant: Merchant, anonymous: httpx.Client) -> None:
    """404 and 405 are problems too."""
    _problem(merchant.get("/v1/nothing"), 404, "not_found")
    _problem(anonymous.get("/"), 404, "not_found")
    answer = merchant.http.delete("/v1/payments")
    _problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].replace(" ", "").split(",")) >= {"GET", "POST"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"status": "lost"}, "status"),
        ({"created_gte": "yesterday"}, "created_gte"),
        ({"starting_after": "pay_1"}, "starting_after"),
        ({"color": "blue"}, "color"),
    ],
)
def test_a_wrong_query_parameter_is_named(merchant: Merchant, query: dict[str, Any], field: str) -> None:
    """422 with the parameter."""
    problem = _problem(merchant.get("/v1/payments", **query), 422, "validation_failed")
    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize("key", [b"x" * 256, "schlüssel".encode("latin-1"), _CARD.encode()])
def test_a_wrong_idempotency_key_is_refused(merchant: Merchant, key: bytes) -> None:
    """Too long, not ASCII, or a card number: 422 that names the header."""
    headers = {b"Idempotency-Key": key}
    body = {"amount": 1, "currency": "USD", "payment_method": "tok_visa"}
    problem = _problem(merchant.http.post("/v1/payments", json=body, headers=headers), 422, "validation_failed")
    assert problem["errors"][0]["field"] == "Idempotency-Key"


def test_a_request_id_is_echoed_or_made(merchant: Merchant) -> None:
    """One that a client sends comes back; another is made."""
    given = merchant.http.get("/v1/payments", headers={"X-Request-Id": "mine-1"})
    assert given.headers["x-request-id"] == "mine-1"
    assert len(merchant.get("/v1/payments").headers["x-request-id"]) >= 16
