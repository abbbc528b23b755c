"""Measure compression: `python -m tests.bench.compression [--json] [--served]`.

Without `--served` it takes about fifteen seconds. With it, exit codes are 0: measured; 1: a page was shown to be slower
on busy processors than without compression; 2: the run itself failed, so nothing was measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench.command import run_command
from tests.bench.compression.codecs import MS_MAX, RATIO_MAX, TARGET_BODY, CodecFigure, codec_figures
from tests.bench.compression.pages import make_pages, served_codecs
from tests.bench.compression.served import Pace, served_figures
from tests.bench.compression.tables import served_codec_table, served_table
from tests.bench.compression.untouched import PathFigure, path_figures
from tests.bench.driver import choose_generator
from tests.bench.gateway import new_key, started


def main() -> int:
    """Measure, and print tables or JSON; fail where no level of a codec meets the target."""
    options = _parser().parse_args()
    if options.served:
        if options.smoke:
            options.pairs, options.seconds = 2, 3.0
        return run_command(lambda out, progress: _served(options, out, progress), as_json=options.json, enforce=True)
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


def _served(options: argparse.Namespace, out: Console, progress: Console) -> bool:
    """Measure on a whole gateway; return whether a page was shown to be slower on busy processors."""
    generator = choose_generator("auto")
    progress.print("starting the gateway")
    with started(options.replicas) as gateway:
        pages = make_pages(gateway, new_key(gateway, "pages", rate_limit=0))
        codecs = list(served_codecs(gateway, pages))
        pace = Pace(options.pairs, options.seconds)
        figures = list(served_figures(gateway, pages, generator, pace, progress.print))
        progress.print("taking everything down")
    out.print(served_codec_table(codecs), served_table(figures))
    if options.json:
        found = {
            "codecs": [asdict(each) for each in codecs],
            "pages": [{**asdict(each), "met": each.met} for each in figures],
        }
        sys.stdout.write(json.dumps(found) + "\n")
    return any(each.met is False for each in figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.bench.compression", description="Measure compression.")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and the tables to stderr")
    parser.add_argument("--served", action="store_true", help="on a whole gateway, which takes about ten minutes")
    parser.add_argument("--pairs", type=int, default=20, help="of served: windows with and without Accept-Encoding")
    parser.add_argument("--seconds", type=float, default=2.0, help="of served: length of a measured window")
    parser.add_argument("--replicas", type=int, default=2, help="of served")
    parser.add_argument("--smoke", action="store_true", help="of served: only see that it works")
    return parser


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
