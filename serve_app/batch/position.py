"""Where a walk of the books is: they are walked in the order of time, by `ledger_postings_by_time`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

_FIRST_ID = UUID(int=0)


class Position(NamedTuple):
    """The last posting of a page; the next page begins after it."""

    created_at: datetime
    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID

    @classmethod
    def before(cls, moment: datetime) -> Position:
        """Return the position before every posting from that moment on."""
        return cls(moment, _FIRST_ID, _FIRST_ID, _FIRST_ID)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Position:
        """Return the position of a posting."""
        return cls(row["created_at"], row["merchant_id"], row["payment_id"], row["attempt_id"])
