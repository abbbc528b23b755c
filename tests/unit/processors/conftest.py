"""Requests for the processors' unit tests."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.protocol import ProcessorRequest

MakeRequest = Callable[..., ProcessorRequest]


@pytest.fixture
def make_request() -> MakeRequest:
    """Make requests with attempt ids of their own; anything can be said by keyword."""
    numbers = count(1)

    def make(
        kind: AttemptKind = AttemptKind.AUTHORIZE,
        *,
        attempt_id: str | None = None,
        amount_minor: int = 1_000,
        currency: str = "USD",
        token: str = "tok_visa",
        capture: bool = False,
        reference: str | None = None,
    ) -> ProcessorRequest:
        attempt_id = attempt_id or f"att_{next(numbers)}"
        return ProcessorRequest(attempt_id, kind, amount_minor, currency, token, capture, reference)

    return make
