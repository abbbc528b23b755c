"""A file is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve_app.batch.files import whole_file


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
    with pytest.raises(ZeroDivisionError), whole_file(path) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
