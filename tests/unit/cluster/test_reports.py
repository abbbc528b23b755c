"""Reports on their way from a launcher to the command that waits for it."""

from __future__ import annotations

import os

import pytest

from cluster.reports import Failed, Notice, PipeReporter, Ready, Report, StepDone, StepStarted, decode, encode

REPORTS: list[Report] = [
    StepStarted("Ray"),
    StepDone("Ray", 4.2),
    Notice("a line\nand another"),
    Ready({"url": "http://127.0.0.1:8000", "pid": 7}),
    Failed("the port is taken"),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_a_report_is_one_line_and_comes_back_as_it_was(report: Report) -> None:
    """Nothing of a report is lost in the pipe."""
    line = encode(report)
    assert "\n" not in line
    assert decode(line) == report


def test_the_pipe_is_closed_when_the_start_is_over() -> None:
    """Who waits sees the end; what happens later has no reader and is dropped."""
    read_end, write_end = os.pipe()
    report = PipeReporter(write_end)
    report(StepStarted("Ray"))
    report(Ready({}))
    report(Notice("later"))
    with os.fdopen(read_end) as lines:
        assert [decode(line) for line in lines] == [StepStarted("Ray"), Ready({})]


def test_a_reader_that_left_does_not_disturb_the_launcher() -> None:
    """`up --detach` may be ended by Ctrl-C at the wrong moment."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    report = PipeReporter(write_end)
    report(StepStarted("Ray"))
    report(Ready({}))
