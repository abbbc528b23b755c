"""X-Request-Timeout-Ms."""

from __future__ import annotations

import asyncio

import pytest

from actors.runtime.errors import DeadlineExceeded
from serve_app.middleware.deadline import DEFAULT_S, Deadline, deadline_of
from serve_app.problems import Code, Problem
from tests.unit.http.exchange import Headers, http_scope

_NAME = b"x-request-timeout-ms"


def _deadline(*values: bytes) -> Deadline:
    headers: Headers = [(_NAME, value) for value in values]
    return deadline_of(http_scope("GET", "/", headers), 100.0)


def test_without_the_header_it_is_half_a_minute() -> None:
    """And is not the client's choice."""
    assert _deadline() == Deadline(100.0 + DEFAULT_S, chosen=False)


def test_the_client_chooses_less_but_not_more() -> None:
    """Milliseconds; what is beyond the gateway's own deadline is that."""
    assert _deadline(b"1500") == Deadline(101.5, chosen=True)
    assert _deadline(b"999999999") == Deadline(100.0 + DEFAULT_S, chosen=True)


@pytest.mark.parametrize("value", [b"", b"0", b"-1", b"1.5", b"5s", b"+5", b" 5", b"\xb2", b"1" * 10, b"0x10"])
def test_what_is_no_number_of_milliseconds_is_refused(value: bytes) -> None:
    """With the header's name, and without what was sent."""
    with pytest.raises(Problem) as refused:
        _deadline(value)
    assert (refused.value.code, refused.value.errors[0][0]) == (Code.VALIDATION_FAILED, "X-Request-Timeout-Ms")


def test_two_headers_are_refused() -> None:
    """Nobody can say which one is meant."""
    with pytest.raises(Problem, match="not valid"):
        _deadline(b"5", b"6")


async def test_work_is_cut_off_at_the_deadline() -> None:
    """It is cancelled, and says so."""
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    with pytest.raises(DeadlineExceeded):
        await Deadline(0.02, chosen=True).bounds(work(), 0.0)
    assert cancelled.is_set()


async def test_another_s_timeout_is_not_taken_for_the_deadline() -> None:
    """It is raised as it is."""

    async def work() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await Deadline(10.0, chosen=True).bounds(work(), 0.0)
