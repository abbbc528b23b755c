"""A file is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve_app.batch.files import remove_drafts, whole_file


def test_the_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """At the end of the block, not before; and nothing else is left."""
    path = tmp_path / "new" / "file"
    with whole_file(path) as draft:
        draft.write_text("one")
        assert not path.exists()
    with whole_file(path) as draft:
        draft.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_a_fault_leaves_it_as_it_was(tmp_path: Path) -> None:
    """The draft is removed."""
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        _fail_half_way(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _fail_half_way(path: Path) -> None:
    with whole_file(path) as draft:
        draft.write_text("half")
        raise ZeroDivisionError


def test_drafts_of_the_dead_are_removed(tmp_path: Path) -> None:
    """And nothing else."""
    (tmp_path / "day=1").mkdir()
    for name in ("_manifest.jsonl", ".hidden", "day=1/part.parquet", f"day=1/.part.parquet.{'0a' * 16}"):
        (tmp_path / name).write_text("")
    remove_drafts(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"_manifest.jsonl", ".hidden", "day=1/part.parquet"}
