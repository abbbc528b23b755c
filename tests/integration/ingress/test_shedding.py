"""While replicas refuse a kind of one key's requests in numbers, the ingress refuses them by itself."""

from __future__ import annotations

import asyncio

from cluster.ingress.shedding import REFUSALS_MAX, WINDOW_MS
from tests.integration.ingress.client import WAIT_S, Reply, exchange
from tests.integration.ingress.conftest import Ingress

_KEY = "Authorization: Bearer sk_test_a\r\n"


async def _ask(ingress: Ingress, count: int, path: str, headers: str = _KEY) -> list[Reply]:
    """Send so many requests one after the other on one connection."""
    reader, writer = await ingress.connect()
    replies = [await exchange(reader, writer, path, headers) for _ in range(count)]
    writer.close()
    return replies


def _by_ingress(replies: list[Reply]) -> int:
    return sum(reply.body != b"from the application" for reply in replies)


async def test_beyond_so_many_refusals_the_ingress_answers(ingress: Ingress) -> None:
    """As the application does, with the Retry-After that it gave last, and the replica hears of few."""
    await ingress.start()
    replies = await _ask(ingress, 200, "/shed")
    mine = [reply for reply in replies if reply.body != b"from the application"]
    assert {reply.status for reply in replies} == {503}
    assert REFUSALS_MAX < len(ingress.replica.paths) < 200
    assert len(mine) + len(ingress.replica.paths) == 200
    assert mine[0].headers["retry-after"] == "7"
    assert mine[0].headers["content-type"] == "application/problem+json"
    assert mine[0].json() == {
        "type": "about:blank",
        "title": "The gateway cannot take this request now",
        "status": 503,
        "detail": "The gateway is at its limit; nothing was stored.",
        "code": "overloaded",
        "request_id": mine[0].headers["x-request-id"],
    }


async def test_other_keys_and_more_important_work_pass(ingress: Ingress) -> None:
    """One that floods is refused for itself, and for that kind of work, alone; who has no key is not counted."""
    await ingress.start()
    assert _by_ingress(await _ask(ingress, 100, "/shed")) > 0
    others = [
        ("/echo", "Authorization: Bearer sk_test_b\r\n"),
        ("/v1/payments/pay_1/capture", _KEY),
        ("/v1/payments/pay_1/refunds", _KEY),
        ("/echo", ""),
    ]
    replies = [(await _ask(ingress, 1, path, headers))[0] for path, headers in others]
    assert [reply.status for reply in replies] == [200] * len(others)


async def test_it_lets_requests_pass_again_within_a_window(ingress: Ingress) -> None:
    """As soon as the replica's own refusals are few, without a pause in the load."""
    await ingress.start()
    assert _by_ingress(await _ask(ingress, 100, "/shed")) > 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(WAIT_S):
        while (await _ask(ingress, 1, "/echo"))[0].status != 200:
            pass
    assert loop.time() - began < 5 * WINDOW_MS / 1000


async def test_the_mark_stays_inside(ingress: Ingress) -> None:
    """No client sees it, and one that sends it itself counts for nothing."""
    await ingress.start()
    assert "x-easypay-shed" not in (await _ask(ingress, 1, "/shed"))[0].headers
    replies = await _ask(ingress, 3 * REFUSALS_MAX, "/echo", _KEY + "X-EasyPay-Shed: 1\r\n")
    assert {reply.status for reply in replies} == {200}
