"""Each request leaves one line of JSON that tells how it went and nothing of what was in it."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.types import Receive, Scope, Send

from serve_app.middleware.access_log import LINES_MAX, AccessLog, BatchedLines
from serve_app.middleware.request_id import RequestId
from serve_app.middleware.trace_context import TraceContext
from tests.unit.http.exchange import CARD, JSON, KEY, SECRET, Lines, Things, ask, edge


async def test_a_request_leaves_one_line() -> None:
    """With the template of the path, never the path."""
    lines = Lines()
    await ask(edge(Things(), lines=lines), "GET", "/things/thing_77", headers=[KEY, (b"x-request-id", b"r-1")])
    [text] = lines.written
    line = json.loads(text)
    assert text.endswith("}\n")
    assert (line["event"], line["method"], line["route"], line["status"]) == (
        "request",
        "GET",
        "/things/{thing_id}",
        200,
    )
    assert line["request_id"] == "r-1"
    assert line["took_ms"] >= 0
    assert "thing_77" not in text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", f"/{CARD}", 404), ("PUT", "/things", 405)])
async def test_a_refusal_is_logged_with_its_status(method: str, path: str, status: int) -> None:
    """An unknown path is not told: it can be anything."""
    lines = Lines()
    await ask(edge(Things(), lines=lines), method, path)
    assert json.loads(lines.written[0])["status"] == status
    assert CARD not in lines.written[0]


async def test_nothing_that_the_client_sent_is_logged() -> None:
    """No key, no body, no query, no header."""
    lines = Lines()
    headers = [KEY, JSON, (b"idempotency-key", b"idem-7"), (b"user-agent", b"agent-7")]
    body = f'{{"amount": "{CARD}", "note": "note-7"}}'.encode()
    await ask(edge(Things(), lines=lines), "POST", "/things", headers=headers, body=body, query=b"secret=query-7")
    for secret in (SECRET, CARD, "idem-7", "agent-7", "note-7", "query-7"):
        assert secret not in lines.written[0]


async def test_a_request_that_got_no_answer_is_logged_as_such() -> None:
    """Its client went away, and the server cancelled it."""
    lines = Lines()
    with pytest.raises(asyncio.CancelledError):
        await ask(edge(Things(asyncio.CancelledError()), lines=lines), "GET", "/health")
    assert json.loads(lines.written[0])["status"] == 499


async def test_a_line_tells_whose_request_it_was_and_where_its_time_went() -> None:
    """By the merchant's id, which is a company's, and by the stages it went through."""
    lines = Lines()
    await ask(edge(Things(), lines=lines), "POST", "/things", headers=[KEY, JSON], body=b'{"amount": 1}')
    line = json.loads(lines.written[0])
    assert (line["merchant"], line["livemode"], line["traced"]) == (f"mer_{2:032x}", False, False)
    assert set(line["stages_ms"]) == {"authenticate", "admission"}
    assert all(0 <= each <= line["took_ms"] for each in line["stages_ms"].values())


async def test_a_method_that_is_none_is_not_told() -> None:
    """A client can send any word as one."""
    lines = Lines()
    await ask(edge(Things(), lines=lines), CARD, "/things")
    assert json.loads(lines.written[0])["method"] == "_OTHER"
    assert CARD not in lines.written[0]


async def test_lines_are_written_together() -> None:
    """Those of a moment, in their order, with one write that nobody has to ask for."""
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    lines = BatchedLines(chunks.put_nowait)
    lines.append(b"1")
    lines.append(b"2")
    assert chunks.empty()
    assert await chunks.get() == b"1\n2\n"
    assert chunks.empty()


async def test_lines_that_wait_are_bounded() -> None:
    """A burst is written before its moment is over."""
    chunks: list[bytes] = []
    lines = BatchedLines(chunks.append)
    for _ in range(LINES_MAX + 1):
        lines.append(b"x")
    assert [len(chunk) for chunk in chunks] == [2 * LINES_MAX]


async def test_a_log_that_cannot_be_written_fails_no_request() -> None:
    """A full disk, for instance."""

    def fail(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    lines = BatchedLines(fail)
    assert (await ask(edge(Things(), lines=lines), "GET", "/health")).status == 200
    lines.flush()


async def test_where_no_lines_are_wanted_requests_are_answered_without() -> None:
    """As above LOG_LEVEL=info; what others note on a request is noted all the same."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - nothing is sent to it
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    answer = await ask(RequestId(TraceContext(AccessLog(app, None))), "GET", "/")
    assert answer.status == 204
    assert scopes[0]["notes"].status == 204
