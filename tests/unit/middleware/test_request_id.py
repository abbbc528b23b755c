"""Each request has an id, which comes back with the answer."""

from __future__ import annotations

import re

import pytest

from tests.unit.http.exchange import Things, ask, edge

_MADE = re.compile(r"req_[0-9a-f]{32}")


@pytest.mark.parametrize(
    "given",
    [b"r", b"a,b", b"~" * 128, b"018f3c2a-7b6e-7c1d-9a2b-3c4d5e6f7a8b", b"1764230400007", b"1764230400000000007"],
)
async def test_a_fit_id_comes_back(given: bytes) -> None:
    """Once, as it was."""
    answer = await ask(edge(Things()), "GET", "/health", headers=[(b"x-request-id", given)])
    assert answer.header("x-request-id") == given.decode()


@pytest.mark.parametrize("given", [b"", b" ", b"a b", b"x" * 129, b"\xc3\xa9", b"a\n", b"\x00"])
async def test_an_unfit_id_is_replaced(given: bytes) -> None:
    """It could break a log or a header."""
    answer = await ask(edge(Things()), "GET", "/health", headers=[(b"x-request-id", given)])
    assert _MADE.fullmatch(answer.header("x-request-id") or "")


@pytest.mark.parametrize(
    "given",
    [
        b"4242424242424242",
        b"card:4242-4242-4242-4242",
        b"x4242424242424242x",
        b"sk_test_0123456789abcdef",
        b"whsec_abc",
    ],
)
async def test_an_id_that_is_a_card_number_or_a_key_is_replaced(given: bytes) -> None:
    """It would be logged and stored."""
    answer = await ask(edge(Things()), "GET", "/health", headers=[(b"x-request-id", given)])
    assert _MADE.fullmatch(answer.header("x-request-id") or "")


async def test_each_request_without_one_gets_its_own() -> None:
    """Ids do not repeat."""
    app = edge(Things())
    ids = [(await ask(app, "GET", "/health")).header("x-request-id") for _ in range(10)]
    assert len(set(ids)) == 10
    assert all(_MADE.fullmatch(made or "") for made in ids)


async def test_a_problem_has_it_too() -> None:
    """In its header and in its body."""
    answer = await ask(edge(Things()), "GET", "/nothing", headers=[(b"x-request-id", b"r-1")])
    assert answer.header("x-request-id") == answer.json["request_id"] == "r-1"
