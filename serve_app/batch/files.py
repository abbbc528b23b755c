"""Files that are whole or not there, whatever dies meanwhile."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

_DRAFT = re.compile(r"\..+\.[0-9a-f]{32}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield where to write; at the end of the block that file takes the place of `path` and is on disk.

    After an exception `path` is as it was. A process that is killed leaves a file whose name starts with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield draft
        _flush(draft)
        draft.replace(path)
        _flush(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Remove what processes that were killed had begun beneath a folder; nobody may be writing there."""
    for draft in folder.rglob(".*"):
        if _DRAFT.fullmatch(draft.name):
            draft.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
