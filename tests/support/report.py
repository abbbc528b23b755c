"""Writes an acquirer's report of what our books say, for tests that change it afterwards."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import asyncpg

from serve_app.processors.acquirer.report import COLUMNS

_MOVED = """
SELECT CASE debit WHEN 'processor_receivable' THEN 'capture' ELSE 'refund' END,
    'att_' || replace(attempt_id::text, '-', ''), amount::text, currency, 'ref', row_number() OVER (ORDER BY created_at)
FROM ledger_postings WHERE 'processor_receivable' IN (debit, credit) ORDER BY created_at
"""


async def moved_lines(url: str) -> list[tuple[str, ...]]:
    """Return the lines of a report that agrees with the books."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(map(str, row)) for row in await connection.fetch(_MOVED)]
    finally:
        await connection.close()


def write_report(path: Path, lines: list[tuple[str, ...]], generated_at: datetime) -> None:
    """Write a whole report."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(lines)
        writer.writerow(("end", len(lines), "", "", generated_at.isoformat(), len(lines)))
