"""The router finds the operation, checks who calls and what is sent, and calls the endpoint with what it checked."""

from __future__ import annotations

import pytest

from serve_app.http.operation import Operation
from serve_app.http.router import Router
from tests.unit.http.exchange import (
    CALLER,
    CARD,
    JSON,
    KEY,
    ChangeThing,
    Exchange,
    Keys,
    ListThings,
    NewThing,
    Things,
    admission_of,
    ask,
    edge,
    limits_of,
)

_BODY = b'{"amount": 5}'


def _check_problem(answer: Exchange, status: int, code: str) -> None:
    assert answer.status == status, answer.body
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("content-length") == str(len(answer.body))
    problem = answer.json
    assert (problem["code"], problem["status"]) == (code, status)
    assert {"type", "title", "detail", "request_id"} <= problem.keys()
    assert problem["request_id"] == answer.header("x-request-id")


async def test_an_endpoint_gets_what_was_checked() -> None:
    """Body, caller, key, path and request id come as values."""
    things = Things()
    headers = [KEY, JSON, (b"idempotency-key", b"order-7"), (b"x-request-id", b"r-1")]
    answer = await ask(edge(things), "POST", "/things", headers=headers, body=_BODY)
    assert (answer.status, answer.json) == (201, {"id": "thing_1"})
    [call] = things.calls
    assert call.body_as(NewThing) == NewThing(amount=5)
    assert (call.known_caller, call.idempotency_key, call.request_id) == (CALLER, "order-7", "r-1")
    assert (call.method, call.path) == ("POST", "/things")


async def test_a_path_parameter_is_handed_on() -> None:
    """It is the segment where the template has its name."""
    things = Things()
    await ask(edge(things), "GET", "/things/abc", headers=[KEY])
    assert things.calls[0].path_parameters == {"thing_id": "abc"}


async def test_a_query_is_parsed() -> None:
    """Into the model that the operation declares."""
    things = Things()
    await ask(edge(things), "GET", "/things", headers=[KEY], query=b"limit=3&status=a%20b")
    assert things.calls[0].query_as(ListThings) == ListThings(limit=3, status="a b")


@pytest.mark.parametrize(
    "path", ["/", "/thing", "/things/", "/things/a/b", "/things//change", "//things", "/v1/payments"]
)
async def test_an_unknown_path_is_a_problem(path: str) -> None:
    """404 in JSON, with or without a key."""
    _check_problem(await ask(edge(Things()), "GET", path), 404, "not_found")
    _check_problem(await ask(edge(Things()), "GET", path, headers=[KEY]), 404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "BREW"])
async def test_a_wrong_method_is_told_the_right_ones(method: str) -> None:
    """405 with Allow."""
    answer = await ask(edge(Things()), method, "/things", headers=[KEY])
    _check_problem(answer, 405, "method_not_allowed")
    assert answer.header("allow") == "GET, HEAD, POST"


async def test_head_is_get_without_the_body() -> None:
    """The length is that of the body which GET would have sent; a problem has no body either."""
    app = edge(Things())
    get = await ask(app, "GET", "/things/a", headers=[KEY])
    head = await ask(app, "HEAD", "/things/a", headers=[KEY])
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == get.header("content-length")
    missing = await ask(app, "HEAD", "/nothing")
    assert (missing.status, missing.body) == (404, b"")


async def test_a_key_is_needed() -> None:
    """401 with a challenge, before the body or the query is looked at."""
    answer = await ask(edge(Things()), "POST", "/things", body=b"nonsense")
    _check_problem(answer, 401, "authentication_required")
    assert (
        answer.header(
            "www-authenticate",
        )
        == 'Bearer realm="easypay"'
    )


async def test_a_missing_scope_is_named() -> None:
    """403."""
    answer = await ask(edge(Things()), "DELETE", "/things/a", headers=[KEY])
    _check_problem(answer, 403, "permission_denied")
    assert "things:admin" in answer.json["detail"]


async def test_an_open_operation_needs_no_key() -> None:
    """And a wrong one does not matter."""
    keys = Keys()
    answer = await ask(edge(Things(), keys), "GET", "/health", headers=[(b"authorization", b"Bearer nonsense")])
    assert answer.status == 200
    assert keys.asked == []


@pytest.mark.parametrize(
    "body", [b"{", b"nonsense", b'{"amount": 1,}', b"\xff\xfe", b'{"note": "\\ud800"}', b"[" * 5000]
)
async def test_what_is_not_json_cannot_be_understood(body: bytes) -> None:
    """400."""
    _check_problem(await ask(edge(Things()), "POST", "/things", headers=[KEY, JSON], body=body), 400, "invalid_request")


async def test_a_body_that_is_needed_and_missing_is_asked_for() -> None:
    """400."""
    _check_problem(await ask(edge(Things()), "POST", "/things", headers=[KEY, JSON]), 400, "invalid_request")


async def test_a_body_may_be_left_out_where_every_member_may() -> None:
    """An empty one is an empty object, and needs no content type."""
    things = Things()
    answer = await ask(edge(things), "POST", "/things/a/change", headers=[KEY])
    assert answer.status == 201
    assert things.calls[0].body_as(ChangeThing) == ChangeThing()


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null"])
async def test_json_that_is_no_object_is_not_valid(body: bytes) -> None:
    """422 about the body as a whole."""
    answer = await ask(edge(Things()), "POST", "/things", headers=[KEY, JSON], body=body)
    _check_problem(answer, 422, "validation_failed")
    assert [error["field"] for error in answer.json["errors"]] == ["body"]


async def test_each_wrong_field_is_named() -> None:
    """By its path, with dots."""
    body = b'{"note": 1, "metadata": {"a": 2}, "colour": 3}'
    answer = await ask(edge(Things()), "POST", "/things", headers=[KEY, JSON], body=body)
    _check_problem(answer, 422, "validation_failed")
    assert [error["field"] for error in answer.json["errors"]] == ["amount", "note", "metadata.a", "colour"]


@pytest.mark.parametrize(
    "body",
    [
        f'{{"amount": "{CARD} x"}}',
        f'{{"amount": 1, "note": {CARD}}}',
        f'{{"amount": 1, "{CARD}": 1}}',
        f'{{"amount": 1, "metadata": {{"{CARD}": 1}}}}',
    ],
)
async def test_a_card_number_does_not_come_back(body: str) -> None:
    """Neither as the value nor as the name of a field."""
    answer = await ask(edge(Things()), "POST", "/things", headers=[KEY, JSON], body=body.encode())
    _check_problem(answer, 422, "validation_failed")
    assert CARD.encode() not in answer.body


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        (b"limit=many", 422, "validation_failed", "limit"),
        (b"colour=blue", 422, "validation_failed", "colour"),
        (b"limit=1&limit=2", 422, "validation_failed", "limit"),
        (f"{CARD}=1".encode(), 422, "validation_failed", "(hidden)"),
        (b"x" * 100 + b"=1", 422, "validation_failed", "(hidden)"),
        (b"status=%ff", 400, "invalid_request", None),
        (b"status=\xff", 400, "invalid_request", None),
        (b"&".join(b"a%d=1" % index for index in range(60)), 400, "invalid_request", None),
    ],
)
async def test_a_wrong_query_is_refused(query: bytes, status: int, code: str, field: str | None) -> None:
    """422 with the parameter, or 400 where it cannot be read."""
    answer = await ask(edge(Things()), "GET", "/things", headers=[KEY], query=query)
    _check_problem(answer, status, code)
    assert [error["field"] for error in answer.json.get("errors", [])] == ([field] if field else [])


async def test_a_query_where_none_is_taken_is_refused() -> None:
    """A filter that does nothing would be taken for one that does."""
    answer = await ask(edge(Things()), "GET", "/things/a", headers=[KEY], query=f"{CARD}=1&b=2".encode())
    _check_problem(answer, 422, "validation_failed")
    assert [error["field"] for error in answer.json["errors"]] == ["(hidden)", "b"]


@pytest.mark.parametrize(
    "value", [b"", b" ", b"a b", b"\xc3\xa9", b"x" * 256, b"a\n", CARD.encode(), b"4242-4242-4242-4242"]
)
async def test_an_unfit_idempotency_key_is_refused(value: bytes) -> None:
    """422, and it is not told back."""
    headers = [KEY, JSON, (b"idempotency-key", value)]
    answer = await ask(edge(Things()), "POST", "/things", headers=headers, body=_BODY)
    _check_problem(answer, 422, "validation_failed")
    assert [error["field"] for error in answer.json["errors"]] == ["Idempotency-Key"]
    assert CARD.encode() not in answer.body


async def test_two_idempotency_keys_are_refused() -> None:
    """Which one counts must not depend on the proxies on the way."""
    headers = [KEY, JSON, (b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
    answer = await ask(edge(Things()), "POST", "/things", headers=headers, body=_BODY)
    _check_problem(answer, 422, "validation_failed")


@pytest.mark.parametrize(
    "value", [b"!", b"~" * 255, b"order-4242424242424242-1", b"018f3c2a-4242-4242-4242-424242424242"]
)
async def test_a_fit_idempotency_key_is_taken(value: bytes) -> None:
    """Digits that stand within a longer key are no card number."""
    things = Things()
    headers = [KEY, JSON, (b"idempotency-key", value)]
    await ask(edge(things), "POST", "/things", headers=headers, body=_BODY)
    assert things.calls[0].idempotency_key == value.decode()


def test_an_operation_is_declared_once() -> None:
    """Two for one method and path are a mistake."""
    things = Things()
    twice = [Operation("GET", "/a/{b}", things.answer, "", ""), Operation("GET", "/a/{b}", things.answer, "", "")]
    with pytest.raises(AssertionError, match="twice"):
        Router(twice, Keys(), limits_of(), admission_of())
