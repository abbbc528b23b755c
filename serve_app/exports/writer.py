"""Writes one range to one Parquet file, whole or not at all, a page in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from asyncpg import Record

from serve_app.batch.files import whole_file
from serve_app.exports.ranges import ExportRange
from serve_app.exports.repository import ExportRepository
from serve_app.exports.tables import SCHEMAS, Schema


async def write_range(repository: ExportRepository, one: ExportRange, folder: Path) -> dict[str, int]:
    """Write a range's rows as they are when their page is read; return how many rows and bytes that were.

    Safe to repeat: the file takes the place of an earlier one.
    """
    schema = SCHEMAS[one.table]
    path = folder / one.name
    rows = 0
    with whole_file(path) as draft, pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        async for page in repository.pages(one):
            writer.write_batch(_batch(page, schema))
            rows += len(page)
    return {"rows": rows, "bytes": path.stat().st_size}


def _batch(page: Sequence[Record], schema: Schema) -> Any:
    arrays = [pa.array([row[field.name] for row in page], type=field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
