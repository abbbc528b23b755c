"""The codes that may be told of outside the payment: in logs, traces and metrics.

A code is a processor's text, and a processor can say anything. The merchant is shown it as it came; elsewhere it is one
of these words, or that it was another.
"""

from __future__ import annotations

OTHER = "other"
KNOWN = frozenset(
    {
        # Declines, by the issuer's reason (the reasons of ISO 8583's response codes, in the words of the field).
        "approve_with_id",
        "authentication_required",
        "call_issuer",
        "card_not_supported",
        "card_velocity_exceeded",
        "currency_not_supported",
        "do_not_honor",
        "duplicate_transaction",
        "expired_card",
        "fraudulent",
        "generic_decline",
        "incorrect_cvc",
        "incorrect_number",
        "incorrect_pin",
        "insufficient_funds",
        "invalid_account",
        "invalid_amount",
        "issuer_not_available",
        "lost_card",
        "not_permitted",
        "pickup_card",
        "restricted_card",
        "security_violation",
        "stolen_card",
        "transaction_not_allowed",
        "try_again_later",
        "withdrawal_count_limit_exceeded",
        # Failures, by our own side or by the processor.
        "connector_overloaded",
        "deadline_passed",
        "invalid_request",
        "not_sent",
        "processor_error",
        "processor_overloaded",
        "processor_unavailable",
        "processor_unreachable",
        "refused",
    }
)


def known_code(code: str) -> str:
    """Return the code where it is one of the known words, else that it is another."""
    return code if code in KNOWN else OTHER
