"""The built-in client's reading of answers."""

from __future__ import annotations

import pytest

from tests.bench.client import percentile, split_answer

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize("cut", [5, 30, len(ANSWER) - 1])
def test_answer_in_parts_is_waited_for(cut: int) -> None:
    """No answer is taken before its last byte has come."""
    assert split_answer(ANSWER[:cut]) is None


def test_whole_answer_gives_status_and_body() -> None:
    """The status decides on failure, the body is the sample."""
    assert split_answer(ANSWER) == (201, b"{}")


def test_answer_without_length_is_refused() -> None:
    """A chunked answer would be cut wrongly, so it ends the run."""
    with pytest.raises(ValueError, match="Content-Length"):
        split_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_percentile_of_few_values_stays_in_the_list() -> None:
    """The nearest rank never lies past the end, and nothing has percentile 0."""
    assert percentile([1.0, 2.0, 3.0], 0.99) == 3.0
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0
    assert percentile([], 0.5) == 0.0
