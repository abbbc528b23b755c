"""Amounts are integers of one currency."""

from __future__ import annotations

import pytest

from serve_app.domain.money import Money


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1999, "USD"), "19.99 USD"),
        (Money(5, "EUR"), "0.05 EUR"),
        (Money(500, "JPY"), "500 JPY"),
        (Money(1234, "KWD"), "1.234 KWD"),
        (Money(-5, "USD"), "-0.05 USD"),
    ],
)
def test_an_amount_is_written_with_its_currency_s_digits(money: Money, text: str) -> None:
    """Two digits, none or three, after ISO 4217."""
    assert str(money) == text


def test_currencies_never_mix() -> None:
    """Dollars and yen cannot be summed."""
    with pytest.raises(AssertionError):
        Money(1, "USD") + Money(1, "JPY")


def test_an_amount_is_never_a_float() -> None:
    """Not even one that is whole."""
    with pytest.raises(AssertionError):
        Money(1.0, "USD")  # type: ignore[arg-type]
