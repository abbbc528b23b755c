"""The span of a part follows what parts hold."""

from __future__ import annotations

from serve_app.ledger_checks.window import WIDTH_FIRST, WIDTH_MAX, Window


def test_empty_parts_widen_it_to_its_bound() -> None:
    """Millions of transactions about something else are passed in steps of the bound."""
    window = Window()
    window.adapt(0, 100)
    assert window.width == 2 * WIDTH_FIRST
    for _ in range(20):
        window.adapt(25, 100)
    assert window.width == WIDTH_MAX


def test_full_parts_narrow_it_to_one() -> None:
    """Never to nothing."""
    window = Window()
    for _ in range(20):
        window.adapt(100, 100)
    assert window.width == 1


def test_a_part_that_is_well_filled_is_repeated() -> None:
    """Between a quarter and a half."""
    window = Window()
    window.adapt(40, 100)
    assert window.width == WIDTH_FIRST
