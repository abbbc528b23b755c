"""The bytes of requests."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.bench.overload.generator import Plan
from tests.bench.overload.schedule import Arrivals
from tests.bench.overload.stream import Merchant, Request, Stream

MERCHANT = Merchant("http://127.0.0.1:8000", "sk_test_1")


def test_each_create_has_a_key_of_its_own() -> None:
    """Two requests differ in their key alone, and the body is as long as the head says."""
    first, second = islice(MERCHANT.create(capture=False).each("run"), 2)
    assert b"POST /v1/payments HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAuthorization: Bearer sk_test_1\r\n" in first
    assert b"\r\nIdempotency-Key: run-0\r\n\r\n" in first
    assert second == first.replace(b"run-0", b"run-1")
    head, _, body = first.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert b'"capture":false' in body


def test_each_payment_is_captured_once() -> None:
    """The id stands in the path and makes the key; with the payments the requests end."""
    first, second = MERCHANT.capture(("pay_1", "pay_2")).each("run")
    assert first.startswith(b"POST /v1/payments/pay_1/capture HTTP/1.1\r\n")
    assert b"\r\nIdempotency-Key: capture-pay_1\r\n\r\n{}" in first
    assert second == first.replace(b"pay_1", b"pay_2")


def test_reads_go_round() -> None:
    """What has been read is read again."""
    requests = list(islice(MERCHANT.read(("pay_1", "pay_2")).each("run"), 3))
    assert requests[0].startswith(b"GET /v1/payments/pay_1 HTTP/1.1\r\n")
    assert requests[0].endswith(b"\r\n\r\n")
    assert requests[2] == requests[0] != requests[1]


def test_a_list_is_always_the_same() -> None:
    """Nothing changes in it, so its bytes are made once."""
    first, second = islice(MERCHANT.newest(10).each("run"), 2)
    assert first is second
    assert first.startswith(b"GET /v1/payments?limit=10 HTTP/1.1\r\n")
    assert first.endswith(b"Bearer sk_test_1\r\n\r\n")


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_ids_without_sharing_one(processes: int) -> None:
    """Every payment is captured by one of them."""
    whole = Request((b"", b""), ("a", "b", "c", "d"))
    parts = [whole.share(process, processes).ids for process in range(processes)]
    assert sorted(each for part in parts for each in part) == ["a", "b", "c", "d"]


def test_a_key_is_not_printed() -> None:
    """What describes a merchant in a report or a traceback has no key in it."""
    assert "sk_test_1" not in repr(MERCHANT)


def test_the_shares_of_a_plan_are_the_plan() -> None:
    """Two processes have half the rate and half the connections each, and draw from seeds of their own."""
    stream = Stream("read", MERCHANT.read(("a", "b", "c")), Arrivals(10, 0, 1))
    plan = Plan("127.0.0.1", 8000, (stream,), connections_max=100, open_first=20)
    shares = [plan.share(process, 2) for process in range(2)]
    assert [share.streams[0].request.ids for share in shares] == [("a", "c"), ("b",)]
    assert [share.streams[0].arrivals.rate_per_s for share in shares] == [5, 5]
    assert [(share.connections_max, share.open_first) for share in shares] == [(50, 10)] * 2
    assert shares[0].seed != shares[1].seed
