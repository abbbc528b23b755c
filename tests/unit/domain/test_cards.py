"""Card numbers in text are found, and identifiers are not taken for them."""

from __future__ import annotations

import uuid

import pytest

from serve_app.domain.cards import contains_card_number


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "card 5555555555554444, please",
        "order4242424242424242",
        "1 4242424242424242",
        "378282246310005",
        "3782 822463 10005",
        "4222222222222",
        "6304000000000000000",
    ],
)
def test_a_card_number_is_found(text: str) -> None:
    """Plain, grouped, and beside other text."""
    assert contains_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order 1234",
        "4242424242424241",
        "424242424242",
        "42424242424242424242",
        "4242.4242.4242.4242",
        "tok_visa",
    ],
)
def test_other_digits_are_not(text: str) -> None:
    """Too short, too long, a wrong check digit."""
    assert not contains_card_number(text)


def test_uuids_are_passed_over() -> None:
    """No UUID is taken for a card number, with dashes or without."""
    random = __import__("random").Random(7)
    for _ in range(4_000):
        value = uuid.UUID(int=random.getrandbits(128), version=4)
        assert not contains_card_number(f"order {value} {value.hex}")
