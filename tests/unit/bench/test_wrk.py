"""wrk's summary line."""

from __future__ import annotations

import pytest

from tests.bench.load import LoadFailed
from tests.bench.wrk import parse

OUT = """Running 2s test
BENCH {"requests": 400, "duration_us": 2000000, "p50_us": 1500, "p99_us": 9000, "failures": 3}
"""


def test_summary_is_read_in_our_units() -> None:
    """Times come in microseconds and are handed on in seconds and milliseconds."""
    load = parse(OUT, 0.5)
    assert (load.rate, load.p50_ms, load.p99_ms, load.failures, load.cpu_s) == (200.0, 1.5, 9.0, 3, 0.5)


def test_output_without_summary_fails_the_run() -> None:
    """A run whose script did not end tells what was printed instead."""
    with pytest.raises(LoadFailed, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1", 0.0)
