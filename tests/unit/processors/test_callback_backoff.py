"""The acquirer calls again later and later, but not for ever, and waits as long as it is asked to."""

from __future__ import annotations

import pytest

from serve_app.processors.acquirer.callbacks import Backoff, CallbackTarget


@pytest.mark.parametrize(
    ("tries", "asked_s", "drawn", "pause_s"),
    [
        (1, 0.0, 0.0, 0.05),
        (1, 0.0, 1.0, 0.1),
        (2, 0.0, 1.0, 0.2),
        (5, 0.0, 0.0, 0.8),
        (200, 0.0, 1.0, 30.0),
        (1, 2.0, 0.5, 2.0),
        (1, 3600.0, 0.5, 30.0),
    ],
)
def test_a_pause_doubles_up_to_its_bound(tries: int, asked_s: float, drawn: float, pause_s: float) -> None:
    """What the answer asks for is the least, within the same bound."""
    assert Backoff().pause_s(tries, asked_s, drawn) == pytest.approx(pause_s)


def test_a_secret_is_not_shown() -> None:
    """Where settings are logged."""
    assert "hush" not in repr(CallbackTarget("http://127.0.0.1/x", "whsec_hush"))
