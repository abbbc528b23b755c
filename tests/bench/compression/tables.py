"""What was measured on a whole gateway, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tests.bench.compression.pages import ServedCodec
from tests.bench.compression.served import ServedFigure


def served_codec_table(figures: Sequence[ServedCodec]) -> Table:
    """Return what each codec makes of each page."""
    table = Table("page", "codec", title="Pages of a gateway that has nothing else to do, quickest levels")
    for head in ("bytes", "ratio", "processor ms"):
        table.add_column(head, justify="right")
    for each in figures:
        table.add_row(each.page, each.codec, f"{each.bytes_in:,}", f"{each.ratio:.3f}", f"{each.ms:.3f}")
    return table


def served_table(figures: Sequence[ServedFigure]) -> Table:
    """Return the medians with and without Accept-Encoding."""
    table = Table("page", "load", title="Median time of a page for a client that is near, with and without encodings")
    for head in ("with ms", "without ms", "ratio, 95 %", "processors busy", "no slower"):
        table.add_column(head, justify="right")
    for each in figures:
        told = {None: "", True: "yes" if each.ratio.high <= 1 else "not shown slower", False: "slower"}[each.met]
        table.add_row(
            each.page, each.load, f"{each.with_ms:.2f}", f"{each.without_ms:.2f}", str(each.ratio), f"{each.busy:.0%}",
            told,
        )  # fmt: skip
    return table
