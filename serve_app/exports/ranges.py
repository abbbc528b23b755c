"""What one file of an export holds: a table's rows of one day (UTC, by their ids) and of some merchants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from serve_app.domain.ids import first_id_at
from serve_app.domain.settlement import end_of, start_of

TABLES = ("payments", "refunds", "events")
MERCHANTS_MAX = 20
"""Merchants of one range: small enough that a day of many merchants is read in parallel."""


@dataclass(frozen=True, slots=True)
class ExportRange:
    """Rows of a table whose ids were made on a day, of merchants in the order of their ids."""

    table: str
    day: date
    merchants: tuple[UUID, ...]

    @property
    def name(self) -> str:
        """The file's path beneath the export's folder, which is also the range's name."""
        return f"{self.table}/day={self.day.isoformat()}/{self.merchants[0].hex}.parquet"

    @property
    def first_id(self) -> UUID:
        """The smallest id of the day."""
        return first_id_at(start_of(self.day))

    @property
    def end_id(self) -> UUID:
        """The smallest id of the day after."""
        return first_id_at(end_of(self.day))

    def to_json(self) -> dict[str, Any]:
        """Return it as a mapping of plain values."""
        return {
            "table": self.table,
            "day": self.day.isoformat(),
            "merchants": [merchant.hex for merchant in self.merchants],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ExportRange:
        """Return what `to_json` gave."""
        return cls(
            value["table"], date.fromisoformat(value["day"]), tuple(UUID(hex=text) for text in value["merchants"])
        )


def ranges_of(table: str, day: date, merchants: Sequence[UUID]) -> list[ExportRange]:
    """Return the ranges of a table and day; `merchants` are those who have rows then, in order."""
    return [
        ExportRange(table, day, tuple(merchants[first : first + MERCHANTS_MAX]))
        for first in range(0, len(merchants), MERCHANTS_MAX)
    ]
