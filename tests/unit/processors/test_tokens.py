"""The table of test cards."""

from __future__ import annotations

from serve_app.processors.tokens import TEST_CARDS, lookup_token

PROMISED = {
    "tok_visa",
    "tok_mastercard",
    "tok_amex",
    "tok_declined",
    "tok_insufficient_funds",
    "tok_expired_card",
    "tok_processor_error",
    "tok_timeout_charged",
    "tok_timeout_not_charged",
    "tok_slow",
}


def test_every_promised_token_is_there() -> None:
    """The public contract's tokens are exactly the table's."""
    assert set(TEST_CARDS) == PROMISED


def test_lookup_knows_brand_and_last4() -> None:
    """A token tells what the payer's card looks like."""
    amex = lookup_token("tok_amex")
    assert amex is not None
    assert (amex.brand, amex.last4) == ("amex", "0005")


def test_lookup_of_an_unknown_token() -> None:
    """A token that is not in the table is none."""
    assert lookup_token("tok_unheard_of") is None


def test_last4_are_four_digits() -> None:
    """Each card shows four digits."""
    assert all(len(card.last4) == 4 and card.last4.isdigit() for card in TEST_CARDS.values())
