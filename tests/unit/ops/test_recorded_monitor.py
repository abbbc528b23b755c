"""The recorded documents of the operations page's tests are in the form of the API."""

from __future__ import annotations

from serve_app.ops.breakers import CircuitBreakers
from serve_app.ops.cache import CacheState
from serve_app.ops.pool import PoolView
from tests.support.recorded_monitor import EXAMPLE_CACHE, EXAMPLE_POOL, example_breakers


def test_recorded_documents_are_what_the_gateway_answers() -> None:
    """By the models that the operations declare."""
    CircuitBreakers.model_validate({"data": example_breakers({})})
    CacheState.model_validate(EXAMPLE_CACHE)
    PoolView.model_validate(EXAMPLE_POOL)
