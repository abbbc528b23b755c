"""Measure compression: `python -m tests.bench.compression [--json]`. It takes about fifteen seconds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench.compression.codecs import MS_MAX, RATIO_MAX, TARGET_BODY, CodecFigure, codec_figures
from tests.bench.compression.untouched import PathFigure, path_figures


def main() -> int:
    """Measure, and print tables or JSON; fail where no level of a codec meets the target."""
    parser = argparse.ArgumentParser("python -m tests.bench.compression", description="Measure compression.")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and the tables to stderr")
    options = parser.parse_args()
    codecs, paths = list(codec_figures()), path_figures()
    console = Console(stderr=options.json, highlight=False)
    console.print(_codec_table(codecs), _path_table(paths))
    if options.json:
        found = {
            "codecs": [{**asdict(each), "met": each.met} for each in codecs],
            "paths": [asdict(each) for each in paths],
        }
        sys.stdout.write(json.dumps(found) + "\n")
    return 0 if {each.codec for each in codecs if each.met} == {each.codec for each in codecs} else 1


def _codec_table(figures: Sequence[CodecFigure]) -> Table:
    title = f"Pages of payments (target at {TARGET_BODY}: ratio up to {RATIO_MAX}, at most {MS_MAX:g} ms)"
    table = Table("body", "codec", "level", title=title)
    for head in ("bytes", "encoded", "ratio", "p50 ms", "p99 ms", "target"):
        table.add_column(head, justify="right")
    for each in figures:
        table.add_row(
            each.body, each.codec, str(each.level), f"{each.bytes_in:,}", f"{each.bytes_out:,}", f"{each.ratio:.3f}",
            f"{each.p50_ms:.3f}", f"{each.p99_ms:.3f}", {None: "", True: "met", False: "missed"}[each.met],
        )  # fmt: skip
    return table


def _path_table(figures: Sequence[PathFigure]) -> Table:
    table = Table("request", title="What the middleware adds to a request, in µs")
    table.add_column("app alone", justify="right")
    table.add_column("added", justify="right")
    for each in figures:
        table.add_row(each.request, f"{each.alone_us:.2f}", f"{each.added_us:+.2f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
