"""Which bodies may be encoded, and what the headers of an encoded one say."""

from __future__ import annotations

import pytest

from serve_app.compression.coding import Codec
from serve_app.compression.headers import Header, declared_length, encoded, may_be_encoded, varied

_JSON = (b"content-type", b"application/json")


@pytest.mark.parametrize(
    ("content_type", "fits"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/problem+json", True),
        (b"application/vnd.oai.openapi+json;version=3.1", True),
        (b"text/html; charset=utf-8", True),
        (b"text/plain; version=0.0.4; charset=utf-8", True),
        (b"application/openmetrics-text; version=1.0.0", True),
        (b"image/svg+xml", True),
        (b"image/png", False),
        (b"application/gzip", False),
        (b"application/zstd", False),
        (b"application/octet-stream", False),
        (b"video/text", False),
        (b"", False),
    ],
)
def test_text_is_encoded_and_nothing_else(content_type: bytes, fits: bool) -> None:
    """By its media type, without its parameters."""
    assert may_be_encoded(200, [(b"content-type", content_type)]) is fits
    assert may_be_encoded(200, [(b"content-type", content_type)], of_any_type=True)


def test_a_body_of_no_type_is_left_alone() -> None:
    """Nobody can tell what it is."""
    assert not may_be_encoded(200, [])


@pytest.mark.parametrize("status", [100, 103, 204, 205, 206, 304])
def test_answers_without_a_body_or_with_a_part_are_left_alone(status: int) -> None:
    """Whatever they say of their type."""
    assert not may_be_encoded(status, [_JSON], of_any_type=True)


@pytest.mark.parametrize(
    "header",
    [
        (b"content-encoding", b"gzip"),
        (b"Content-Encoding", b"identity"),
        (b"content-range", b"bytes 0-9/10"),
        (b"cache-control", b"no-transform"),
        (b"Cache-Control", b"max-age=60, No-Transform"),
        (b"repr-digest", b"sha-256=:AA==:"),
    ],
)
def test_some_headers_forbid_it(header: Header) -> None:
    """Wherever they stand."""
    for headers in ([_JSON, header], [header, _JSON]):
        assert not may_be_encoded(200, headers, of_any_type=True)


def test_other_cache_directives_do_not_forbid_it() -> None:
    """Only the one that says so."""
    assert may_be_encoded(200, [_JSON, (b"cache-control", b"no-store, private")])


@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        ([], [b"Accept-Encoding"]),
        ([b"Origin"], [b"Origin", b"Accept-Encoding"]),
        ([b"Origin, accept-encoding"], [b"Origin, accept-encoding"]),
        ([b"Accept-Encoding"], [b"Accept-Encoding"]),
        ([b"*"], [b"*"]),
        ([b"Origin", b"Accept-Encoding"], [b"Origin", b"Accept-Encoding"]),
    ],
)
def test_vary_is_added_once(vary: list[bytes], expected: list[bytes]) -> None:
    """What it says already stays."""
    headers = varied([(b"vary", value) for value in vary])
    assert [value for _, value in headers] == expected
    assert varied(headers) == headers


def test_an_encoded_body_has_headers_of_its_own() -> None:
    """Its coding and length; its ETag is weak; the rest stays in its order."""
    headers = [_JSON, (b"etag", b'"v1"'), (b"accept-ranges", b"bytes"), (b"x-a", b"1"), (b"content-length", b"5000")]
    assert encoded(headers, Codec.BROTLI, 900) == [
        _JSON,
        (b"etag", b'W/"v1"'),
        (b"x-a", b"1"),
        (b"content-encoding", b"br"),
        (b"content-length", b"900"),
        (b"vary", b"Accept-Encoding"),
    ]


def test_a_weak_etag_stays_and_a_stream_has_no_length() -> None:
    """It cannot be known before the end."""
    headers = encoded([(b"etag", b'W/"v1"'), (b"content-length", b"5000")], Codec.ZSTD, None)
    assert headers == [(b"etag", b'W/"v1"'), (b"content-encoding", b"zstd"), (b"vary", b"Accept-Encoding")]


@pytest.mark.parametrize(("value", "length"), [(b"700", 700), (b"-1", None), (b"7e2", None), (b"", None)])
def test_the_length_is_read(value: bytes, length: int | None) -> None:
    """One that is none counts as not sent."""
    assert declared_length([(b"content-length", value), _JSON]) == length
    assert declared_length([_JSON]) is None
