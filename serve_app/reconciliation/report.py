"""Reads an acquirer's report: CSV with the columns kind, attempt, amount_minor, currency, reference and sequence.

It is checked to its end before a line of it is used: a report that was cut off would make money look missing.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from serve_app.domain.money import AMOUNT_MINOR_MAX, EXPONENTS

COLUMNS = ["kind", "attempt", "amount_minor", "currency", "reference", "sequence"]
_KINDS = frozenset({"capture", "refund"})
_END = "end"
_TEXT_MAX = 255
_DIGITS = re.compile(r"[0-9]{1,19}\Z")
_READ_BYTES = 1 << 20


class ReportFault(Exception):
    """The report cannot be used; the text says where and why, and nothing was done."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path, self.line, self.reason = path, line, reason

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.reason}"


class ReportLine(NamedTuple):
    """Money that the acquirer took (capture) or gave back (refund). The first one after the header is line 2."""

    line: int
    attempt: str
    kind: str
    amount_minor: int
    currency: str
    reference: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was read to its end. `digest` is the SHA-256 of its bytes."""

    path: Path
    digest: str
    lines: int
    generated_at: datetime

    @classmethod
    def read(cls, path: Path) -> Report:
        """Check the whole report.

        Raises:
            ReportFault: a line is wrong, or the end is missing.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines, end = 0, None
        for row in _rows(path):
            if isinstance(row, ReportLine):
                lines += 1
            else:
                end = row
        if end is None:
            raise ReportFault(path, lines + 2, "the report has no end: it was cut off")
        if end.lines != lines:
            raise ReportFault(path, end.line, f"the end tells of {end.lines} lines, and there are {lines}")
        return cls(path, digest, lines, end.generated_at)

    def pages(self, after: int, size: int) -> Iterator[list[ReportLine]]:
        """Yield the lines after the first `after` ones, so many at a time."""
        lines = islice((row for row in _rows(self.path) if isinstance(row, ReportLine)), after, None)
        while page := list(islice(lines, size)):
            yield page


@dataclass(frozen=True, slots=True)
class _End:
    line: int
    lines: int
    generated_at: datetime


def _rows(path: Path) -> Iterator[ReportLine | _End]:
    with path.open(newline="", encoding="utf-8", errors="replace", buffering=_READ_BYTES) as file:
        reader = csv.reader(file)
        if next(reader, None) != COLUMNS:
            raise ReportFault(path, 1, f"the columns must be {','.join(COLUMNS)}")
        ended = False
        try:
            for number, cells in enumerate(reader, 2):
                if ended:
                    raise ReportFault(path, number, "something follows the end")
                row = _parse(path, number, cells)
                ended = isinstance(row, _End)
                yield row
        except csv.Error as error:
            raise ReportFault(path, reader.line_num, str(error)) from error


def _parse(path: Path, number: int, cells: list[str]) -> ReportLine | _End:
    if len(cells) != len(COLUMNS):
        raise ReportFault(path, number, f"must have {len(COLUMNS)} columns and has {len(cells)}")
    kind, attempt, amount, currency, reference, _ = cells
    if kind == _END:
        return _parse_end(path, number, attempt, reference)
    if kind not in _KINDS:
        raise ReportFault(path, number, "kind: must be capture, refund or end")
    if not attempt or len(attempt) > _TEXT_MAX or "\0" in attempt:
        raise ReportFault(path, number, f"attempt: must have 1 to {_TEXT_MAX} characters")
    if not _DIGITS.match(amount) or not 0 < int(amount) <= AMOUNT_MINOR_MAX:
        raise ReportFault(path, number, f"amount_minor: must be an integer from 1 to {AMOUNT_MINOR_MAX}")
    if currency not in EXPONENTS:
        raise ReportFault(path, number, "currency: must be a code of ISO 4217")
    if len(reference) > _TEXT_MAX or "\0" in reference:
        raise ReportFault(path, number, f"reference: must have at most {_TEXT_MAX} characters")
    return ReportLine(number, attempt, kind, int(amount), currency, reference)


def _parse_end(path: Path, number: int, lines: str, generated_at: str) -> _End:
    if not _DIGITS.match(lines):
        raise ReportFault(path, number, "attempt: the end must tell how many lines there are")
    try:
        moment = datetime.fromisoformat(generated_at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ReportFault(path, number, "reference: the end must tell when the report was made, with a time zone")
    return _End(number, int(lines), moment)
