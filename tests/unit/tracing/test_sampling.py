"""Which requests are traced."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from actors.runtime.traceparent import TraceParent
from serve_app.tracing.sampling import ASKED_PER_S, FAILURES_PER_S, SLOW_S, Sampling


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 1.0])
def test_a_share_is_chosen_as_every_other_service_chooses_it(ratio: float) -> None:
    """By the trace's id, as OpenTelemetry's own sampler does: a trace is kept whole or not at all."""
    drawn = random.Random(7)
    sampling, theirs = Sampling(ratio), TraceIdRatioBased(ratio)
    for _ in range(10_000):
        trace_id = drawn.getrandbits(128) | 1
        expected = theirs.should_sample(None, trace_id, "").decision.is_sampled()  # type: ignore[no-untyped-call]
        assert sampling.is_chosen(trace_id, None, 0.0) == expected


def test_a_caller_that_does_not_trace_its_request_is_taken_at_its_word() -> None:
    """Also where everything else is traced."""
    assert not Sampling(1.0).is_chosen(1, TraceParent(1, 2, False), 0.0)


def test_callers_that_trace_theirs_get_a_few_a_second() -> None:
    """Whoever has a key could ask for all."""
    sampling, asked = Sampling(0.0), TraceParent(1, 2, True)
    assert sum(sampling.is_chosen(1, asked, 5.0) for _ in range(100)) == ASKED_PER_S
    assert not sampling.is_chosen(1, asked, 5.05)
    assert sampling.is_chosen(1, asked, 5.2)
    assert sum(sampling.is_chosen(1, asked, 60.0) for _ in range(100)) == ASKED_PER_S


def test_failures_and_slow_requests_leave_a_span_each() -> None:
    """A few a second; what a client did wrong is no failure of ours."""
    sampling = Sampling(0.0)
    assert not sampling.is_worth_a_span(201, SLOW_S, 1.0)
    assert not sampling.is_worth_a_span(499, 0.1, 1.0)
    assert sampling.is_worth_a_span(200, SLOW_S + 0.1, 1.0)
    assert sum(sampling.is_worth_a_span(503, 0.1, 1.0) for _ in range(100)) == FAILURES_PER_S - 1
