"""An acquirer's report as it is read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from serve_app.reconciliation.report import Report, ReportFault, ReportLine

HEADER = "kind,attempt,amount_minor,currency,reference,sequence\n"
END = "end,2,,,2026-02-01T00:00:00+00:00,9\n"
LINES = "capture,att_1,100,USD,auth_a,1\nrefund,att_2,30,JPY,rfnd_b,9\n"


def _written(folder: Path, text: str) -> Path:
    path = folder / "report.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_report_is_read(tmp_path: Path) -> None:
    """With its digest, the number of its lines and its time; pages begin anywhere."""
    report = Report.read(_written(tmp_path, HEADER + LINES + END))
    assert (report.lines, report.generated_at) == (2, datetime(2026, 2, 1, tzinfo=UTC))
    first = ReportLine(2, "att_1", "capture", 100, "USD", "auth_a")
    second = ReportLine(3, "att_2", "refund", 30, "JPY", "rfnd_b")
    assert list(report.pages(0, 1)) == [[first], [second]]
    assert list(report.pages(1, 5)) == [[second]]
    assert list(report.pages(2, 5)) == []


def test_the_digest_tells_reports_apart(tmp_path: Path) -> None:
    """One byte is enough."""
    one = Report.read(_written(tmp_path, HEADER + LINES + END)).digest
    assert Report.read(_written(tmp_path, HEADER + LINES.replace("100", "101") + END)).digest != one


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 1, "columns"),
        ("kind,attempt\n", 1, "columns"),
        (HEADER + LINES, 4, "cut off"),
        (HEADER + LINES[:40], 3, "columns"),
        (HEADER + LINES + END.replace("2", "3", 1), 4, "tells of 3 lines"),
        (HEADER + LINES + END + LINES, 5, "follows the end"),
        (HEADER + "capture,att_1,1.5,USD,a,1\n" + END, 2, "amount_minor"),
        (HEADER + "capture,att_1,0,USD,a,1\n" + END, 2, "amount_minor"),
        (HEADER + "capture,att_1,99999999999999999999,USD,a,1\n" + END, 2, "amount_minor"),
        (HEADER + "capture,att_1,1,usd,a,1\n" + END, 2, "currency"),
        (HEADER + "void,att_1,1,USD,a,1\n" + END, 2, "kind"),
        (HEADER + "capture,,1,USD,a,1\n" + END, 2, "attempt"),
        (HEADER + "end,0,,,yesterday,1\n", 2, "when the report was made"),
        (HEADER + "end,0,,,2026-02-01T00:00:00,1\n", 2, "time zone"),
        (HEADER + "end,many,,,2026-02-01T00:00:00+00:00,1\n", 2, "how many lines"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    """Before a line of the report is used."""
    with pytest.raises(ReportFault, match=told) as fault:
        Report.read(_written(tmp_path, text))
    assert fault.value.line == line
