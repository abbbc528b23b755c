"""Exports of a real PostgreSQL: the Parquet files sum to the books, and an export that was killed goes on."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from serve_app.exports.manifest import FILE_NAME
from serve_app.exports.ranges import TABLES
from serve_app.exports.repository import ExportRepository
from serve_app.exports.tables import SCHEMAS
from serve_app.exports.writer import write_range
from tests.integration.jobs.conftest import JobDatabase

SINCE, UNTIL = date(2026, 1, 1), date(2026, 1, 8)
_BOOKS = """
SELECT sum(amount) FILTER (WHERE debit = 'processor_receivable') AS captured,
    sum(amount) FILTER (WHERE credit = 'processor_receivable') AS refunded FROM ledger_postings
"""
_WITHIN_S = 150.0


def _days() -> list[date]:
    return [SINCE + timedelta(days=number) for number in range((UNTIL - SINCE).days)]


def _read(folder: Path, table: str) -> Any:
    return pq.read_table(folder / table, schema=None)


async def _check(books: JobDatabase, folder: Path) -> None:
    """Compare the files with the database, row by row in number and in sum with the books."""
    tables = {table: _read(folder, table) for table in TABLES}
    for table, found in tables.items():
        [row] = await books.fetch(f"SELECT count(*) FROM {table}")
        assert found.num_rows == row["count"] == len(set(found["id"].to_pylist())), table
    [posted] = await books.fetch(_BOOKS)
    payments, refunds = tables["payments"], tables["refunds"].to_pylist()
    assert sum(payments["amount_captured"].to_pylist()) == posted["captured"]
    assert sum(payments["amount_refunded"].to_pylist()) == posted["refunded"]
    assert sum(row["amount"] for row in refunds if row["status"] == "succeeded") == posted["refunded"]
    for row in tables["events"].to_pylist():
        assert row["day"] == row["created_at"].date().isoformat()
        assert row["id"].startswith("evt_")


async def test_the_files_sum_to_the_books(books: JobDatabase, tmp_path: Path) -> None:
    """A folder for each day, a file for each range; pages make no difference."""
    await books.generate(1200)
    async with books.opened() as database:
        repository = ExportRepository(database, page=37)
        await repository.require_current(UNTIL)
        assert await repository.first_day() == SINCE
        for day in _days():
            for one in await repository.plan(day):
                written = await write_range(repository, one, tmp_path)
                file = pq.ParquetFile(tmp_path / one.name)
                assert (file.metadata.num_rows, file.schema_arrow) == (written["rows"], SCHEMAS[one.table])
                assert written["rows"] > 0
                file.close()
    await _check(books, tmp_path)


async def test_every_column_is_what_is_stored(books: JobDatabase, tmp_path: Path) -> None:
    """Amounts, moments and texts of one payment; its token is no part of it."""
    await books.generate(60)
    async with books.opened() as database:
        repository = ExportRepository(database)
        for one in await repository.plan(SINCE):
            await write_range(repository, one, tmp_path)
    exported = {row["id"]: row for row in _read(tmp_path, "payments").to_pylist()}
    stored = await books.fetch("SELECT * FROM payments WHERE created_at < $1", datetime(2026, 1, 2, tzinfo=UTC))
    assert len(stored) == len(exported) > 0
    for row in stored:
        found = exported[f"pay_{row['id'].hex}"]
        assert "token" not in found
        for name in (
            "amount",
            "amount_captured",
            "currency",
            "status",
            "version",
            "created_at",
            "updated_at",
            "metadata",
        ):
            assert found[name] == row[name], name
        assert found["settlement"] is None


async def test_nothing_to_export(books: JobDatabase) -> None:
    """No payments, no day, no range."""
    async with books.opened() as database:
        repository = ExportRepository(database)
        assert await repository.first_day() is None
        assert await repository.plan(SINCE) == []


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_an_export_that_was_killed_goes_on(books: JobDatabase, tmp_path: Path) -> None:
    """With Ray Data; files that were finished are not written again, and nothing half-written is left."""
    await books.generate(1200)
    arguments = [
        "--since", SINCE.isoformat(), "--until", UNTIL.isoformat(), "--output", str(tmp_path), "--parallel", "1",
        "--page", "2", "--json",
    ]  # fmt: skip
    process = books.start("export", *arguments)
    try:
        await _until_one_is_done(process, tmp_path)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)
    done = _done(tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in done}
    process = books.start("export", *arguments)
    output, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, errors.decode()
    facts = json.loads(output)
    assert facts["files"] == facts["files_written"] + len(before)
    assert 0 < facts["files_written"] < facts["files"]
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before
    assert _drafts(tmp_path) == []
    await _check(books, tmp_path)


def _drafts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def _done(folder: Path) -> Sequence[str]:
    file = folder / FILE_NAME
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line)["done"] for line in lines if line.endswith(b"\n") and b'"done"' in line]


async def _until_one_is_done(process: subprocess.Popen[bytes], folder: Path) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while not _done(folder):
            assert process.poll() is None, process.communicate()
            await asyncio.sleep(0.01)
