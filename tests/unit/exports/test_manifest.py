"""The manifest of an export across deaths of the process."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from serve_app.exports.manifest import FILE_NAME, ExportRunning, Manifest
from serve_app.exports.ranges import MERCHANTS_MAX, ExportRange, ranges_of

DAY = date(2026, 1, 31)
MERCHANTS = [UUID(int=number) for number in range(1, 2 * MERCHANTS_MAX + 2)]
NEXT = DAY + timedelta(days=1)


def test_every_merchant_is_in_one_range() -> None:
    """And each range has a name of its own, and few merchants."""
    ranges = ranges_of("payments", DAY, MERCHANTS)
    assert [merchant for one in ranges for merchant in one.merchants] == MERCHANTS
    assert len({one.name for one in ranges}) == len(ranges) == 3
    assert max(len(one.merchants) for one in ranges) == MERCHANTS_MAX
    assert ranges_of("payments", DAY, []) == []
    assert all(ExportRange.from_json(one.to_json()) == one for one in ranges)


def test_what_is_done_stays_done(tmp_path: Path) -> None:
    """Also when the manifest is opened again; other days are no part of it."""
    ranges = ranges_of("events", DAY, MERCHANTS)
    with Manifest.open(tmp_path) as manifest:
        assert not manifest.has_day(DAY)
        manifest.add_day(DAY, ranges)
        manifest.add_done(ranges[0].name, {"rows": 3, "bytes": 10})
    with Manifest.open(tmp_path) as manifest:
        assert manifest.has_day(DAY)
        assert manifest.open_ranges(DAY, NEXT) == ranges[1:]
        assert list(manifest.results(DAY, NEXT)) == [(ranges[0], {"rows": 3, "bytes": 10})]
        assert manifest.open_ranges(NEXT, NEXT + timedelta(days=1)) == []


def test_a_line_that_was_cut_off_counts_for_nothing(tmp_path: Path) -> None:
    """And the next one does not stick to it."""
    ranges = ranges_of("events", DAY, MERCHANTS)
    with Manifest.open(tmp_path) as manifest:
        manifest.add_day(DAY, ranges)
        manifest.add_done(ranges[0].name, {"rows": 3, "bytes": 10})
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes()[:-5])
    with Manifest.open(tmp_path) as manifest:
        assert manifest.open_ranges(DAY, NEXT) == ranges
        manifest.add_done(ranges[1].name, {"rows": 1, "bytes": 1})
    with Manifest.open(tmp_path) as manifest:
        assert set(manifest.done) == {ranges[1].name}


def test_two_exports_do_not_write_to_one_folder(tmp_path: Path) -> None:
    """The second one is told so."""
    with Manifest.open(tmp_path), pytest.raises(ExportRunning), Manifest.open(tmp_path):
        pass
