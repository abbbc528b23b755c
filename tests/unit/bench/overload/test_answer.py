"""Reading answers, and what they count as."""

from __future__ import annotations

import pytest

from tests.bench.overload.answer import Answer, Outcome, read_answer

WHOLE = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 4\r\n\r\nbusy"


@pytest.mark.parametrize("cut", [0, 5, 40, WHOLE.index(b"busy"), len(WHOLE) - 1])
def test_an_answer_in_parts_is_waited_for(cut: int) -> None:
    """Nothing is taken before the last byte has come."""
    assert read_answer(WHOLE[:cut]) is None


def test_a_whole_answer_is_read() -> None:
    """Status, body and the wait that it asks for."""
    assert read_answer(WHOLE) == Answer(503, b"busy", 2, closes=False)


def test_names_of_headers_have_no_case() -> None:
    """HTTP/1.1 leaves it to the server."""
    assert read_answer(WHOLE.lower().replace(b"http", b"HTTP")) == Answer(503, b"busy", 2, closes=False)


def test_a_connection_that_will_close_is_noticed() -> None:
    """It must not be given another request."""
    answer = read_answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert answer is not None
    assert answer.closes


@pytest.mark.parametrize("wait", [b"", b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n"])
def test_a_refusal_without_seconds_to_wait_has_none(wait: bytes) -> None:
    """A missing header and a date are told apart from a wait of no seconds."""
    answer = read_answer(b"HTTP/1.1 429 Too Many Requests\r\n" + wait + b"Content-Length: 0\r\n\r\n")
    assert answer == Answer(429, b"", None, closes=False)


@pytest.mark.parametrize(
    "junk", [b"SSH-2.0-OpenSSH", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"\x00"]
)
def test_what_is_no_measurable_http_is_an_error(junk: bytes) -> None:
    """Another protocol, and a body whose end would be guessed, are not waited for."""
    with pytest.raises(ValueError, match=r"HTTP|Content-Length"):
        read_answer(junk)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.GOOD),
        (201, Outcome.GOOD),
        (202, Outcome.PENDING),
        (402, Outcome.ERROR),
        (429, Outcome.REFUSED),
        (500, Outcome.ERROR),
        (502, Outcome.ERROR),
        (503, Outcome.REFUSED),
        (504, Outcome.LATE),
    ],
)
def test_statuses_are_counted_apart(status: int, outcome: Outcome) -> None:
    """Work that was done, work whose end is unknown, refusals, deadlines and errors are different things."""
    assert Answer(status, b"", None, closes=False).outcome is outcome
