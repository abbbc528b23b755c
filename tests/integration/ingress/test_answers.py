"""What a client reads when HAProxy itself answers."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.ingress.client import Reply, exchange, read_reply
from tests.integration.ingress.conftest import Ingress
from tests.integration.ingress.replica import Replica


def _require_problem(reply: Reply, status: int, code: str) -> None:
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert {"type", "title", "detail", "request_id"} <= problem.keys()


async def test_a_replica_lost_after_sending_leaves_the_outcome_unknown(ingress: Ingress, replica: Replica) -> None:
    """A request whose replica dies is answered 500, told to be repeated with its key, and sent only once."""
    await ingress.start()
    reply = await ingress.request("/drop", "X-Request-Id: r-1\r\n")
    _require_problem(reply, 500, "internal_error")
    assert "Idempotency-Key" in str(reply.json()["detail"])
    assert reply.json()["request_id"] == "r-1"
    assert reply.headers["x-request-id"] == "r-1"
    assert replica.paths == ["/drop"]


async def test_a_silent_replica_leaves_the_outcome_unknown(ingress: Ingress, replica: Replica) -> None:
    """A replica that does not answer in time is a 500 whose outcome is unknown; nothing is sent again."""
    await ingress.start()
    reader, writer = await ingress.connect()
    await exchange(reader, writer)
    _require_problem(await exchange(reader, writer, "/hang"), 500, "internal_error")
    writer.close()
    assert replica.paths == ["/echo", "/hang"]


async def test_a_replica_lost_on_a_kept_connection_closes_it(ingress: Ingress, replica: Replica) -> None:
    """HAProxy gives no answer where a connection's later request loses its replica; it sends nothing twice
    either."""
    # Not what we would choose: HAProxy 2.8 leaves the repetition to the client here, and no directive changes
    # that.
    await ingress.start()
    reader, writer = await ingress.connect()
    await exchange(reader, writer)
    with pytest.raises(asyncio.IncompleteReadError):
        await exchange(reader, writer, "/drop")
    writer.close()
    assert replica.paths == ["/echo", "/drop"]


async def test_no_replica_means_nothing_was_done(ingress: Ingress, replica: Replica) -> None:
    """Where no replica takes the connection the answer is 503 with Retry-After."""
    await ingress.start()
    await replica.stop()
    reply = await ingress.request()
    _require_problem(reply, 503, "overloaded")
    assert reply.headers["retry-after"] == "1"


async def test_before_the_first_application_the_gateway_is_overloaded(ingress: Ingress) -> None:
    """An ingress that has not heard of the application yet says 503, not 404."""
    ingress.write_config(applications=False)
    await ingress.start()
    reply = await ingress.request()
    _require_problem(reply, 503, "overloaded")
    assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize("status", [404, 500, 502, 503, 504])
async def test_answers_of_the_application_pass_unchanged(ingress: Ingress, status: int) -> None:
    """An error status of the application itself is not replaced."""
    await ingress.start()
    reply = await ingress.request(f"/status/{status}")
    assert (reply.status, reply.body) == (status, b"from the application")


async def test_bytes_that_are_not_http_are_refused(ingress: Ingress, replica: Replica) -> None:
    """A request that cannot be parsed is a 400 and reaches no replica; its page is built into HAProxy."""
    await ingress.start()
    reader, writer = await ingress.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await read_reply(reader)).status == 400
    writer.close()
    assert replica.paths == []


@pytest.mark.parametrize("path", ["/-/routes", "/-/Routes", "/%2d/routes", "/-/x"])
async def test_the_paths_of_serve_are_hidden(ingress: Ingress, replica: Replica, path: str) -> None:
    """Serve's own paths answer 404 however they are written, and reach no replica."""
    await ingress.start()
    _require_problem(await ingress.request(path), 404, "not_found")
    assert replica.paths == []


async def test_the_health_path_says_no_more_than_health(ingress: Ingress) -> None:
    """The health check of a load balancer is answered with one word."""
    await ingress.start()
    reply = await ingress.request("/-/healthz")
    assert (reply.status, reply.body) == (200, b"success")
