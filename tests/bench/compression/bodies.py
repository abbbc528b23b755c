"""Pages of payments as the gateway answers them, made from a seed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from serve_app.domain.ids import first_id_at
from serve_app.domain.payment import Payment, PaymentStatus
from serve_app.snapshots import encode_page, encode_payment

SIZES: dict[str, int] = {"1 KB": 1_000, "10 KB": 10_000, "100 KB": 100_000}

_NEWEST = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
_MERCHANT = UUID("0190f3c2-a4b7-7c1d-8e2f-3a4b5c6d7e8f")
_CARDS = (("tok_visa", "visa", "4242"), ("tok_mastercard", "mastercard", "4444"), ("tok_amex", "amex", "0005"))
_STATUSES = (PaymentStatus.CAPTURED, PaymentStatus.AUTHORIZED, PaymentStatus.DECLINED, PaymentStatus.REFUNDED)
_ID_BITS = 62


def payment_page(size: int, seed: int = 1) -> bytes:
    """Return a page with as many payments as it takes to have at least so many bytes.

    What is random in a payment of the gateway is random here: ids, references, amounts and times, and of the rest what
    differs between the orders of a shop. Metadata are one order number: more of them would compress better.
    """
    draw = random.Random(seed)
    items: list[bytes] = []
    while len(page := encode_page(items, ())) < size:
        items.append(encode_payment(_payment(len(items), draw)))
    return page


def _payment(number: int, draw: random.Random) -> Payment:
    made = _NEWEST - timedelta(microseconds=number * 41_000_000 + draw.randrange(40_000_000))
    token, brand, last4 = draw.choice(_CARDS)
    status = draw.choice(_STATUSES)
    amount, order = draw.randrange(100, 50_000), draw.randrange(1_000, 100_000)
    return Payment(
        id=UUID(int=first_id_at(made).int | draw.getrandbits(_ID_BITS)),
        merchant_id=_MERCHANT,
        livemode=False,
        amount=amount,
        amount_captured=amount if status in (PaymentStatus.CAPTURED, PaymentStatus.REFUNDED) else 0,
        amount_refunded=amount if status is PaymentStatus.REFUNDED else 0,
        amount_refund_pending=0,
        currency=draw.choice(("USD", "EUR")),
        status=status,
        token=token,
        brand=brand,
        last4=last4,
        processor="simulator",
        processor_reference=f"sim_{draw.getrandbits(128):032x}",
        decline_code="insufficient_funds" if status is PaymentStatus.DECLINED else None,
        description=f"Order {order}",
        customer=f"cus_{draw.getrandbits(32):08x}",
        metadata={"order": str(order)},
        version=2,
        sequence=2,
        pending_attempt=None,
        settlement_id=None,
        settled_at=None,
        created_at=made,
        updated_at=made + timedelta(microseconds=draw.randrange(5_000, 80_000)),
    )
