"""The bytes that are sent to a subject."""

from __future__ import annotations

from tests.bench.target import Target


def request(target: Target, key: bytes) -> list[bytes]:
    head, tail = target.pieces()
    return (head + key + tail).split(b"\r\n")


def test_keyed_request_carries_key_and_credentials() -> None:
    """Between the two pieces goes the idempotency key."""
    target = Target("http://127.0.0.1:81/v1", 201, {}, b"{}", authorization="Bearer sk", keyed=True)
    assert request(target, b"k-1") == [
        b"POST /v1 HTTP/1.1",
        b"Host: 127.0.0.1:81",
        b"Content-Type: application/json",
        b"Content-Length: 2",
        b"Authorization: Bearer sk",
        b"Idempotency-Key: k-1",
        b"",
        b"{}",
    ]


def test_unkeyed_request_is_whole_without_a_key() -> None:
    """A subject without keys gets a request without their headers."""
    lines = request(Target("http://127.0.0.1:81/v1", 201, {}, b"{}"), b"")
    assert lines[3:] == [b"Content-Length: 2", b"", b"{}"]


def test_id_is_the_end_of_the_path() -> None:
    """A read has no body, and the id stands between the two pieces."""
    target = Target("http://127.0.0.1:81/v1/", 200, {}, b"", authorization="Bearer sk", method="GET", ids=("a", "b"))
    assert request(target, b"b") == [
        b"GET /v1/b HTTP/1.1",
        b"Host: 127.0.0.1:81",
        b"Authorization: Bearer sk",
        b"",
        b"",
    ]
