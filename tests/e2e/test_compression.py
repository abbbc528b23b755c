"""Compressed answers of a real gateway, past its ingress."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.merchant import Merchant
from tests.support.encoded import decode

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.parametrize("codec", ["gzip", "br", "zstd"])
def test_a_page_arrives_whole_in_each_coding(merchant: Merchant, codec: str) -> None:
    """Who refuses identity gets the coding that it takes, however busy the gateway is; the body is the same."""
    for _ in range(5):
        assert merchant.pay(description="Order of somebody").status_code == 201
    plain = merchant.http.get("/v1/payments", headers={"Accept-Encoding": "identity"})
    request = merchant.http.build_request("GET", "/v1/payments", headers={"Accept-Encoding": f"{codec}, identity;q=0"})
    answer = merchant.http.send(request, stream=True)
    raw = b"".join(answer.iter_raw())
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, codec)
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert int(answer.headers["content-length"]) == len(raw) < len(plain.content)
    assert decode(codec, raw) == plain.content
    assert "content-encoding" not in plain.headers


def test_who_asks_for_nothing_gets_the_body_as_it_is(anonymous: httpx.Client) -> None:
    """The documentation is large, and goes uncompressed to who did not ask."""
    request = anonymous.build_request("GET", "/openapi.json")
    del request.headers["accept-encoding"]
    answer = anonymous.send(request)
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
    assert answer.json()["openapi"].startswith("3.")
