"""Whatever an endpoint raises ends as a problem, or closes the connection where the answer had begun."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from actors.runtime.errors import Overloaded
from serve_app.middleware.faults import AnswerBrokeOff, Faults
from tests.unit.http.exchange import CARD, JSON, KEY, SECRET, Exchange, Things, ask, edge, http_scope, receive_of


async def test_an_unforeseen_error_is_answered_and_logged() -> None:
    """500 with nothing of it; the log has the place and the request id."""
    things = Things(RuntimeError(f"secret {CARD}"))
    with capture_logs() as logs:
        answer = await ask(edge(things), "GET", "/health", headers=[(b"x-request-id", b"r-1")])
    assert (answer.status, answer.json["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body
    [entry] = logs
    assert (entry["request_id"], entry["error"], entry["log_level"]) == ("r-1", "RuntimeError", "error")
    assert entry["places"][-1].endswith(" answer")
    assert CARD not in repr(entry)


async def test_a_foreseen_error_is_not_logged() -> None:
    """Under overload the log must not become the next bottleneck."""
    with capture_logs() as logs:
        answer = await ask(edge(Things(Overloaded("pool", 2.0))), "GET", "/health")
    assert (answer.status, answer.header("retry-after")) == (503, "2")
    assert logs == []


async def test_an_answer_that_broke_off_closes_the_connection() -> None:
    """Nothing more is sent, and what the server gets to log says nothing of the cause."""

    async def half(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError(CARD)

    exchange = Exchange()
    with capture_logs() as logs, pytest.raises(AnswerBrokeOff) as caught:
        await Faults(half)(http_scope("GET", "/"), receive_of(), exchange.send)
    assert [message["type"] for message in exchange.sent] == ["http.response.start"]
    assert logs[0]["error"] == "RuntimeError"
    assert caught.value.__suppress_context__
    assert CARD not in repr(logs)


async def test_a_cancelled_request_stays_cancelled() -> None:
    """There is nobody to answer."""
    with pytest.raises(asyncio.CancelledError):
        await ask(edge(Things(asyncio.CancelledError())), "GET", "/health")


_NAMES = st.sampled_from([b"authorization", b"content-type", b"content-length", b"idempotency-key", b"x-request-id"])
_HEADERS = st.lists(st.tuples(_NAMES | st.binary(max_size=20), st.binary(max_size=300)), max_size=6)
_PATHS = st.sampled_from(["/things", "/things/a", "/things/a/change", "/health"]) | st.text(max_size=40).map(
    "/".__add__
)
_METHODS = st.sampled_from(["GET", "POST", "HEAD", "DELETE", "PATCH"]) | st.text(max_size=8)


@settings(max_examples=300, deadline=None)
@given(_METHODS, _PATHS, _HEADERS, st.lists(st.binary(max_size=200), max_size=3), st.binary(max_size=80), st.booleans())
async def test_no_garbage_is_a_fault_of_ours(
    method: str, path: str, headers: list[tuple[bytes, bytes]], body: list[bytes], query: bytes, known: bool
) -> None:
    """Any bytes at all get a well-formed answer below 500, and the key is never in it."""
    given_headers = [KEY, JSON, *headers] if known else headers
    answer = await ask(edge(Things()), method, path, headers=given_headers, body=body or b"", query=query)
    assert 200 <= answer.status < 500
    assert SECRET.encode() not in answer.body
    assert answer.header("x-request-id")
    if answer.status >= 400 and method != "HEAD":
        assert answer.json["status"] == answer.status


_JSON_TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["amount", "note", "metadata", "colour"]) | st.text(max_size=8), _JSON_TEXTS))
async def test_no_json_is_a_fault_of_ours(members: dict[str, object]) -> None:
    """It is what the operation takes, or the client hears why not."""
    body = json.dumps(members).encode()
    answer = await ask(edge(Things()), "POST", "/things", headers=[KEY, JSON], body=body)
    assert answer.status in (201, 400, 422)
