"""The test cards of the simulator: what each token looks like and how its authorizations go.

A token steers authorizations alone: a capture, void or refund of an approved payment goes the ordinary way,
so that a payment of `tok_timeout_charged` can be refunded like any other once it is resolved.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Behaviour(StrEnum):
    """Name how the authorization of a test card goes."""

    ANSWER = "answer"
    SLOW = "slow"
    PROCESSOR_ERROR = "processor_error"
    TIMEOUT_CHARGED = "timeout_charged"
    TIMEOUT_NOT_CHARGED = "timeout_not_charged"


@dataclass(frozen=True, slots=True)
class TestCard:
    """Describe a test card. With `decline_code` the issuer says no; otherwise it approves."""

    __test__ = False  # pytest would collect the name

    token: str
    brand: str
    last4: str
    behaviour: Behaviour = Behaviour.ANSWER
    decline_code: str | None = None


_CARDS = (
    TestCard("tok_visa", "visa", "4242"),
    TestCard("tok_mastercard", "mastercard", "4444"),
    TestCard("tok_amex", "amex", "0005"),
    TestCard("tok_declined", "visa", "0002", decline_code="generic_decline"),
    TestCard("tok_insufficient_funds", "visa", "9995", decline_code="insufficient_funds"),
    TestCard("tok_expired_card", "visa", "0069", decline_code="expired_card"),
    TestCard("tok_processor_error", "visa", "0119", Behaviour.PROCESSOR_ERROR),
    TestCard("tok_timeout_charged", "visa", "0044", Behaviour.TIMEOUT_CHARGED),
    TestCard("tok_timeout_not_charged", "visa", "0051", Behaviour.TIMEOUT_NOT_CHARGED),
    TestCard("tok_slow", "visa", "0077", Behaviour.SLOW),
)

TEST_CARDS = {card.token: card for card in _CARDS}


def is_steered(token: str) -> bool:
    """Say whether a token asks for a fault or a delay: what comes of its authorizations is no sign of the processor."""
    card = TEST_CARDS.get(token)
    return card is not None and card.behaviour is not Behaviour.ANSWER


def lookup_token(token: str) -> TestCard | None:
    """Return the test card of a token, or None where there is none (a validation error at the API)."""
    return TEST_CARDS.get(token)
