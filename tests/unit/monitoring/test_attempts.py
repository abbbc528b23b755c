"""What is recorded of attempts."""

from __future__ import annotations

import pytest

from actors.monitor.instruments import Instruments
from actors.monitor.series import series
from actors.runtime.clock import ManualClock
from serve_app.attempts.meter import Stage, Timed
from serve_app.domain.payment import PaymentStatus
from serve_app.monitoring.attempts import AttemptMetrics
from serve_app.monitoring.names import PAYMENTS, PAYMENTS_AMOUNT, STAGE_DURATION
from serve_app.tracing.notes import Notes
from tests.unit.domain.builders import new_payment


def test_payments_are_counted_by_state_and_currency_with_their_amounts() -> None:
    """Amounts of different currencies are never added up."""
    instruments = Instruments("gateway-1")
    metrics = AttemptMetrics(instruments)
    metrics.concluded(new_payment(status=PaymentStatus.CAPTURED, currency="EUR"), 250)
    metrics.concluded(new_payment(status=PaymentStatus.CAPTURED, currency="EUR"), 50)
    metrics.concluded(new_payment(status=PaymentStatus.DECLINED, currency="JPY"), 7)
    counters = instruments.take().counters
    assert counters == {
        series(PAYMENTS, status="captured", currency="EUR"): 2,
        series(PAYMENTS_AMOUNT, status="captured", currency="EUR"): 300,
        series(PAYMENTS, status="declined", currency="JPY"): 1,
        series(PAYMENTS_AMOUNT, status="declined", currency="JPY"): 7,
    }


def test_a_stage_is_timed_however_it_ended() -> None:
    """A processor that failed took its time too."""
    instruments, clock = Instruments("gateway-1"), ManualClock()
    metrics = AttemptMetrics(instruments)
    with pytest.raises(ValueError, match="x"), Timed(metrics, Stage.PROCESSOR, clock):
        _advance_and_fail(clock)
    with Timed(metrics, Stage.BEGIN, clock):
        clock.advance(0.25)
    histograms = instruments.take().histograms
    assert histograms[series(STAGE_DURATION, stage="processor")].total == 1.5
    assert histograms[series(STAGE_DURATION, stage="begin")].total == 0.25
    assert series(STAGE_DURATION, stage="conclude") not in histograms


def test_a_stage_of_a_request_is_measured_once() -> None:
    """Its log line tells the same as the distribution."""
    instruments, clock = Instruments("gateway-1"), ManualClock()
    notes = Notes(1)
    token = notes.enter()
    with Timed(AttemptMetrics(instruments), Stage.BEGIN, clock):
        clock.advance(0.25)
    notes.leave(token)
    assert notes.stages == {"begin": 0.25}
    assert instruments.take().histograms[series(STAGE_DURATION, stage="begin")].total == 0.25


def _advance_and_fail(clock: ManualClock) -> None:
    clock.advance(1.5)
    raise ValueError("x")
