"""Which rows of a read are out of date."""

from __future__ import annotations

from uuid import UUID

from actors.scheduler.reads import Reads

_A, _B = UUID(int=1), UUID(int=2)


def test_what_was_written_after_a_read_began_is_out_of_date_there() -> None:
    """A read that begins afterwards shows it as it is."""
    reads = Reads()
    early = reads.begin()
    reads.written([_A])
    late = reads.begin()
    assert reads.is_stale(early, _A)
    assert not reads.is_stale(early, _B)
    assert not reads.is_stale(late, _A)


def test_nothing_is_kept_once_no_read_needs_it() -> None:
    """Nor is anything kept while nobody reads."""
    reads = Reads()
    reads.written([_A])
    assert not reads._written_at
    first, second = reads.begin(), reads.begin()
    reads.written([_A])
    reads.written([_A, _B])
    reads.end(second)
    assert reads.is_stale(first, _A)
    reads.end(first)
    reads.end(first)
    assert not reads._written_at
    assert not reads._order
