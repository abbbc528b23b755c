"""Answers are encoded for clients that accept it, and everybody else gets what the app sent, byte for byte."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actors.runtime.lag import LoopLag
from serve_app.compression.coding import Codec
from serve_app.compression.compressor import Compressor
from serve_app.compression.policy import BYTES_MIN, Refusal
from serve_app.middleware.compression import Compression
from tests.support.encoded import decode, decode_chunks
from tests.unit.http.exchange import Exchange, Headers, Things, ask, edge, http_scope, receive_of

_TEXT = b'{"object":"payment","amount":1999,"currency":"USD"},' * 200
_TYPE = (b"content-type", b"application/json")
_BROWSER = b"gzip, deflate, br, zstd"


def _compressor(lag_ms: float = 0.0) -> Compressor:
    return Compressor(lambda: LoopLag(lag_ms / 1000, 0.0, lag_ms / 1000))


def _answering(status: int = 200, headers: Headers = (_TYPE,), *parts: bytes, length: bool = False) -> ASGIApp:
    """Return an app that answers with these parts: in a message each, and an empty last one where they are several."""
    parts = parts or (_TEXT,)

    async def app(_: Scope, __: Receive, send: Send) -> None:
        declared = [(b"content-length", b"%d" % sum(map(len, parts)))] if length else []
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *declared]})
        if len(parts) == 1:
            await send({"type": "http.response.body", "body": parts[0]})
            return
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    return app


async def _ask(
    app: ASGIApp, field: bytes | None = _BROWSER, method: str = "GET", compressor: Compressor | None = None
) -> Exchange:
    headers = [(b"accept-encoding", field)] if field is not None else []
    return await ask(Compression(app, compressor or _compressor()), method, "/x", headers=headers)


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("length", [False, True])
async def test_a_whole_body_is_encoded_in_the_coding_asked_for(codec: Codec, length: bool) -> None:
    """With its new length, its coding, and a Vary."""
    answer = await _ask(_answering(length=length), codec.value.encode())
    assert (answer.status, answer.header("content-encoding"), answer.header("vary")) == (200, codec, "Accept-Encoding")
    assert answer.header("content-length") == str(len(answer.body))
    assert len(answer.body) < len(_TEXT) / 2
    assert decode(codec, answer.body) == _TEXT


@pytest.mark.parametrize("field", [None, b"", b"identity", b"deflate", b"gzip;q=0", b"identity;q=0", b"*;q=0"])
async def test_who_asks_for_no_coding_gets_the_app_s_own_messages(field: bytes | None) -> None:
    """The very objects: nothing is between the app and the server. With no coding left, the field is disregarded."""
    sent: list[Message] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        assert send == exchange.send
        for message in sent:
            await send(message)

    sent.append({"type": "http.response.start", "status": 200, "headers": [_TYPE]})
    sent.append({"type": "http.response.body", "body": _TEXT})
    exchange = Exchange()
    headers = [(b"accept-encoding", field)] if field is not None else []
    await Compression(app, _compressor())(http_scope("GET", "/x", headers), receive_of(), exchange.send)
    assert all(got is given for got, given in zip(exchange.sent, sent, strict=True))


@pytest.mark.parametrize(
    ("status", "headers", "parts"),
    [
        (204, (), (b"",)),
        (304, (_TYPE, (b"etag", b'"1"')), (b"",)),
        (206, (_TYPE, (b"content-range", b"bytes 0-9/10")), (_TEXT,)),
        (200, (_TYPE, (b"content-encoding", b"gzip")), (_TEXT,)),
        (200, (_TYPE, (b"cache-control", b"private, no-transform")), (_TEXT,)),
        (200, ((b"content-type", b"image/png"),), (_TEXT,)),
        (200, ((b"content-type", b"image/png"),), (_TEXT, _TEXT)),
        (200, (_TYPE,), (_TEXT[: BYTES_MIN - 1],)),
    ],
)
@pytest.mark.parametrize("length", [False, True])
async def test_what_must_not_be_encoded_goes_through_as_it_is(
    status: int, headers: Headers, parts: Sequence[bytes], length: bool
) -> None:
    """Status, headers and body; no Vary, as nothing was chosen."""
    plain = await ask(_answering(status, headers, *parts, length=length), "GET", "/x")
    assert (await _ask(_answering(status, headers, *parts, length=length))).sent == plain.sent


@pytest.mark.parametrize("parts", [(b"",), (_TEXT,), (_TEXT, _TEXT)])
async def test_the_answer_to_a_head_request_goes_through_as_it_is(parts: Sequence[bytes]) -> None:
    """Also that of an app which leaves it to the server to drop the body."""
    headers = (_TYPE, (b"content-length", b"20000"))
    plain = await ask(_answering(200, headers, *parts), "HEAD", "/x")
    assert (await _ask(_answering(200, headers, *parts), method="HEAD")).sent == plain.sent


async def test_a_body_is_not_encoded_twice() -> None:
    """Not even by two of these middlewares."""
    answer = await _ask(Compression(_answering(), _compressor()), b"gzip")
    assert answer.headers("content-encoding") == ["gzip"]
    assert decode("gzip", answer.body) == _TEXT


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("length", [False, True])
async def test_a_stream_stays_one(codec: Codec, length: bool) -> None:
    """Each chunk goes out when it comes and can be decoded then; there is no length."""
    parts = [_TEXT, b"", b"small", _TEXT]
    answer = await _ask(_answering(200, (_TYPE,), *parts, length=length), codec.value.encode())
    assert (answer.header("content-encoding"), answer.header("content-length")) == (codec, None)
    bodies = [message["body"] for message in answer.sent[1:]]
    assert [message.get("more_body", False) for message in answer.sent[1:]] == [True] * 4 + [False]
    assert list(decode_chunks(codec, bodies)) == [*parts, b""]


async def test_a_chunk_is_sent_before_the_next_one_is_made() -> None:
    """The start too, with the first chunk."""
    exchange = Exchange()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [_TYPE]})
        for count in (2, 3):
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            assert len(exchange.sent) == count

    await Compression(app, _compressor())(
        http_scope("GET", "/x", [(b"accept-encoding", b"gzip")]), receive_of(), exchange.send
    )
    assert exchange.header("content-encoding") == "gzip"


async def test_a_strong_etag_becomes_weak_and_vary_is_kept() -> None:
    """The bytes are others, their meaning is the same."""
    headers = (_TYPE, (b"etag", b'"v1"'), (b"vary", b"Origin"))
    answer = await _ask(_answering(200, headers))
    assert (answer.header("etag"), answer.headers("vary")) == ('W/"v1"', ["Origin", "Accept-Encoding"])


@pytest.mark.parametrize("parts", [(_TEXT,), (_TEXT, _TEXT)])
async def test_on_a_late_loop_a_body_stays_as_it_is_and_says_that_it_might_not(parts: Sequence[bytes]) -> None:
    """A cache must not take it for the only one; the ETag stays strong."""
    compressor = _compressor(lag_ms=50)
    answer = await _ask(_answering(200, (_TYPE, (b"etag", b'"v1"')), *parts), compressor=compressor)
    assert (answer.body, answer.header("etag")) == (b"".join(parts), '"v1"')
    assert (answer.header("vary"), answer.header("content-encoding")) == ("Accept-Encoding", None)
    assert compressor.counts.refused == {("-", Refusal.BUSY): 1}


async def test_a_body_that_would_grow_stays_as_it_is() -> None:
    """Although its type looked like one that does not."""
    noise = random.Random(1).randbytes(5_000)
    answer = await _ask(_answering(200, (_TYPE,), noise, length=True))
    assert (answer.body, answer.header("content-encoding"), answer.header("vary")) == (noise, None, "Accept-Encoding")
    assert answer.header("content-length") == "5000"


@pytest.mark.parametrize("headers", [(_TYPE,), ((b"content-type", b"image/png"),)])
@pytest.mark.parametrize("length", [False, True])
async def test_where_a_body_as_it_is_was_refused_every_body_is_encoded(headers: Headers, length: bool) -> None:
    """A small one, one of any type, and on a loop that is late; RFC 9110, 12.5.3."""
    answer = await _ask(
        _answering(200, headers, b"{}", length=length), b"gzip, identity;q=0", compressor=_compressor(lag_ms=50)
    )
    assert answer.header("content-encoding") == "gzip"
    assert decode("gzip", answer.body) == b"{}"


async def test_problems_are_encoded_too_and_answers_keep_their_request_id() -> None:
    """In the stack as the gateway assembles it."""
    headers = [(b"accept-encoding", b"gzip, identity;q=0"), (b"x-request-id", b"r-1")]
    answer = await ask(edge(Things()), "GET", "/nowhere", headers=headers)
    assert (answer.status, answer.header("content-type")) == (404, "application/problem+json")
    assert (answer.header("content-encoding"), answer.header("x-request-id")) == ("gzip", "r-1")
    assert json.loads(decode("gzip", answer.body))["code"] == "not_found"


async def test_routes_are_counted_by_their_template() -> None:
    """Never by their path."""
    inner = _answering()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route_template"] = "/things/{thing_id}"
        await inner(scope, receive, send)

    compressor = _compressor()
    await _ask(app, b"br", compressor=compressor)
    assert list(compressor.counts.encoded) == [("/things/{thing_id}", Codec.BROTLI)]


async def test_a_client_that_goes_away_mid_stream_stops_the_app() -> None:
    """The server's error comes out where the app sends, and the app's receive is the server's."""
    exchange, made = Exchange(), []

    async def send(message: Message) -> None:
        if len(exchange.sent) == 3:
            raise OSError("the client is gone")
        await exchange.send(message)

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [_TYPE]})
        for number in range(10):
            await send({"type": "http.response.body", "body": _TEXT, "more_body": True})
            made.append(number)
            if number == 1:
                assert await receive() == {"type": "http.disconnect"}

    with pytest.raises(OSError, match="the client is gone"):
        await Compression(app, _compressor())(
            http_scope("GET", "/x", [(b"accept-encoding", b"zstd")]), receive_of(), send
        )
    assert made == [0, 1]
    assert len(exchange.sent) == 3


async def test_an_error_before_the_body_sends_nothing() -> None:
    """So that whoever is outside can still answer."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [_TYPE]})
        raise RuntimeError("no body")

    exchange = Exchange()
    with pytest.raises(RuntimeError, match="no body"):
        await Compression(app, _compressor())(
            http_scope("GET", "/x", [(b"accept-encoding", b"gzip")]), receive_of(), exchange.send
        )
    assert exchange.sent == []


async def test_early_hints_go_ahead_and_do_not_count_as_the_answer() -> None:
    """The answer after them is encoded."""
    inner = _answering()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 103, "headers": []})
        await inner(scope, receive, send)

    answer = await _ask(app, b"gzip")
    assert [message["status"] for message in answer.sent[:2]] == [103, 200]
    assert dict(answer.sent[1]["headers"])[b"content-encoding"] == b"gzip"


async def test_a_body_that_the_server_reads_itself_is_left_alone() -> None:
    """It never comes by here, so the start must not wait for it."""
    messages: list[Message] = [
        {"type": "http.response.start", "status": 200, "headers": [_TYPE]},
        {"type": "http.response.pathsend", "path": "/f"},
    ]

    async def app(_: Scope, __: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    assert (await _ask(app)).sent == messages


async def test_what_is_not_http_goes_through() -> None:
    """It has no headers."""
    scopes: list[Scope] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        scopes.append(scope)

    lifespan: Scope = {"type": "lifespan"}
    await Compression(app, _compressor())(lifespan, receive_of(), Exchange().send)
    assert scopes == [lifespan]
