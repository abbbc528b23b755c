"""The manifest of an export: which ranges there are, and which of them are written. It lies beside the files.

Lines of JSON, each on disk before the next step: a day with its ranges, then each range as it is done. A line that was
cut off by a crash counts for nothing. So an export that was killed writes no finished range again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

from serve_app.exports.ranges import ExportRange

FILE_NAME = "_manifest.jsonl"


class ExportRunning(Exception):
    """Another export writes to the folder; nothing was done."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return f"another export writes to {self.folder}"


class Manifest:
    """Knows the ranges of an export and which are done. One process at a time has it open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ranges: dict[str, ExportRange] = {}
        self._days: set[date] = set()
        self.done: dict[str, Mapping[str, Any]] = {}
        self._read()

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Manifest]:
        """Open the manifest of a folder, or begin one.

        Raises:
            ExportRunning: another process has it open.
            OSError: the folder cannot be written to.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / FILE_NAME).open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ExportRunning(folder) from None
            yield cls(file)

    def has_day(self, day: date) -> bool:
        """Say whether the day's ranges are known."""
        return day in self._days

    def add_day(self, day: date, ranges: Sequence[ExportRange]) -> None:
        """Record a day with all its ranges."""
        self._append({"day": day.isoformat(), "ranges": [one.to_json() for one in ranges]})

    def add_done(self, name: str, result: Mapping[str, Any]) -> None:
        """Record that a range is written, with its rows and bytes."""
        self._append({"done": name, **result})

    def open_ranges(self, since: date, until: date) -> list[ExportRange]:
        """Return the ranges of the days from `since` until before `until` that are not written, oldest day first."""
        wanted = (one for name, one in self._ranges.items() if name not in self.done and since <= one.day < until)
        return sorted(wanted, key=lambda one: (one.day, one.name))

    def results(self, since: date, until: date) -> Iterator[tuple[ExportRange, Mapping[str, Any]]]:
        """Yield the ranges of those days that are written, with their results."""
        for name, result in self.done.items():
            if since <= self._ranges[name].day < until:
                yield self._ranges[name], result

    def _append(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._take(line)

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for text in self._file:
            if not text.endswith(b"\n"):
                break
            whole += len(text)
            self._take(json.loads(text))
        self._file.truncate(whole)

    def _take(self, line: dict[str, Any]) -> None:
        if "done" in line:
            self.done[line["done"]] = {name: value for name, value in line.items() if name != "done"}
            return
        self._days.add(date.fromisoformat(line["day"]))
        for value in line["ranges"]:
            one = ExportRange.from_json(value)
            self._ranges[one.name] = one
