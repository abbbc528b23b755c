"""Each request belongs to a trace, and its log line says to which."""

from __future__ import annotations

import json

import pytest

from tests.unit.http.exchange import CARD, Lines, Things, ask, edge

_GIVEN = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def trace_id_of(*headers: tuple[bytes, bytes]) -> str:
    """Send a request and return its trace by its log line."""
    lines = Lines()
    await ask(edge(Things(), lines=lines), "GET", "/health", headers=headers)
    found: str = json.loads(lines.written[0])["trace_id"]
    return found


async def test_it_is_the_caller_s() -> None:
    """Where the caller says which."""
    assert await trace_id_of((b"traceparent", _GIVEN)) == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"traceparent", b"nonsense"),),
        ((b"traceparent", b"\xff"),),
        ((b"traceparent", _GIVEN), (b"traceparent", _GIVEN)),
        ((b"traceparent", f"00-{CARD.zfill(32)}-00f067aa0ba902b7-01".encode()),),
        ((b"traceparent", f"00-4bf92f3577b34da6a3ce929d0e0e4736-{CARD}-01".encode()),),
    ],
)
async def test_it_is_a_new_one_where_the_caller_says_nothing_that_holds(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    """Or something that might be a card number, which an id is a place for."""
    found = await trace_id_of(*headers)
    assert len(found) == 32
    assert int(found, 16) > 0
    assert CARD not in found
    assert found != await trace_id_of(*headers)
