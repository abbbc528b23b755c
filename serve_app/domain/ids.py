"""Identifiers: a prefix that names the kind and a UUIDv7, which sorts by the time it was made.

Source: RFC 9562, section 5.7.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEX = re.compile(r"[0-9a-f]{32}\Z")
_VERSION_AND_VARIANT = (0x7 << 76) | (0x2 << 62)
_RANDOM_MASK = (0xFFF << 64) | ((1 << 62) - 1)


class Prefix(StrEnum):
    """What an identifier names, as merchants see it."""

    PAYMENT = "pay"
    REFUND = "rf"
    ATTEMPT = "att"
    EVENT = "evt"
    AUDIT = "aud"
    MERCHANT = "mer"
    API_KEY = "key"
    REQUEST = "req"
    WEBHOOK_ENDPOINT = "we"
    WEBHOOK_DELIVERY = "whd"
    SETTLEMENT = "set"
    RUN = "run"


def new_id() -> UUID:
    """Make a UUIDv7 of the current millisecond and 74 random bits.

    Two of the same millisecond sort at random; nothing here may rely on more.
    """
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big") & _RANDOM_MASK
    return UUID(int=(milliseconds << 80) | _VERSION_AND_VARIANT | random_bits)


def first_id_at(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of the millisecond of `moment`, for ranges by time of creation."""
    milliseconds = max(0, (moment - _EPOCH) // timedelta(milliseconds=1))
    return UUID(int=(milliseconds << 80) | _VERSION_AND_VARIANT)


def public_id(prefix: Prefix, value: UUID) -> str:
    """Return the identifier that merchants see, such as `pay_0190...`."""
    return f"{prefix.value}_{value.hex}"


def parse_id(prefix: Prefix, text: str) -> UUID | None:
    """Return the UUID in a public identifier of this kind, or None where it is none."""
    kind, _, digits = text.partition("_")
    if kind != prefix.value or not _HEX.match(digits):
        return None
    return UUID(hex=digits)
