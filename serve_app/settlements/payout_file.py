"""The payout file: what is to be paid for one day in one mode, for whoever gives it to the bank.

A run that is repeated writes the same bytes. Test payments never are in a file with live ones.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

from asyncpg import Record

from serve_app.batch.files import whole_file
from serve_app.domain.ids import Prefix, public_id

COLUMNS = ("settlement", "day", "merchant", "merchant_name", "currency", "amount_minor")
# A name that a spreadsheet would take for a formula is written as text.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def payout_path(folder: Path, day: date, livemode: bool) -> Path:
    """Return where a day's payouts of a mode are."""
    return folder / f"payouts-{day.isoformat()}-{'live' if livemode else 'test'}.csv"


async def write_payouts(path: Path, day: date, payouts: AsyncIterator[Record]) -> int:
    """Write the file, whole or not at all, and return how many payouts it has."""
    count = 0
    with whole_file(path) as draft, draft.open("x", newline="", encoding="utf-8") as file:
        draft.chmod(0o600)
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        async for row in payouts:
            count += 1
            writer.writerow(
                (
                    public_id(Prefix.SETTLEMENT, row["id"]),
                    day.isoformat(),
                    public_id(Prefix.MERCHANT, row["merchant_id"]),
                    _text(row["name"] or ""),
                    row["currency"],
                    row["payout_minor"],
                )
            )
    return count


def _text(name: str) -> str:
    return f"'{name}" if name.startswith(_FORMULA_STARTS) else name
