"""Compare cache policies: `python -m tests.bench.cache_policy [--seed 1] [--json]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench.cache_policy.comparison import Outcome, compare
from tests.bench.cache_policy.policies import POLICIES
from tests.bench.cache_policy.traces import KEYS, USES, WARM_UP_USES


def main() -> int:
    """Compare, and print a table or JSON."""
    parser = argparse.ArgumentParser("python -m tests.bench.cache_policy", description="Compare cache policies.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object, and the table to stderr")
    options = parser.parse_args()
    outcomes = compare(options.seed, Console(stderr=True, highlight=False).print)
    Console(stderr=options.json, highlight=False).print(_table(outcomes))
    if options.json:
        found = {"seed": options.seed, "keys": KEYS, "uses": USES, "outcomes": [asdict(each) for each in outcomes]}
        sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _table(outcomes: Sequence[Outcome]) -> Table:
    title = f"Hit ratio by size of the cache ({KEYS:,} keys, {USES - WARM_UP_USES:,} uses after the warm-up)"
    table = Table("trace", "size", title=title)
    for policy in POLICIES:
        table.add_column(policy, justify="right")
    ratios = {(each.trace, each.size, each.policy): each.hit_ratio for each in outcomes}
    for trace, size in dict.fromkeys((each.trace, each.size) for each in outcomes):
        table.add_row(trace, f"{size:.0%}", *(f"{ratios[trace, size, policy]:.3f}" for policy in POLICIES))
    return table


if __name__ == "__main__":
    sys.exit(main())
