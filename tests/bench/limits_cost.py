"""What rate limits cost a payment of a whole gateway: `python -m tests.bench.limits_cost [--json] [--enforce]`.

One gateway serves two merchants in turns: one has a limit that no run reaches, and so is counted, the other has none.
What is compared is the time on processors of all processes of the gateway, for each payment. It takes about five
minutes, which the machine should have for itself.

Exit codes: 0 measured; 1 the target is missed, or the interval is too wide to tell, and `--enforce` was given; 2 the
run itself failed, so nothing was measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from rich.console import Console
from rich.table import Table

from tests.bench.command import run_command
from tests.bench.driver import choose_generator
from tests.bench.gateway import Gateway, new_key, started
from tests.bench.load import LoadGenerator
from tests.bench.ratio import Ratio, paired_ratio
from tests.bench.subjects import Subject, easypay
from tests.bench.window import Meter, Window

RATIO_MAX = 1.05
_PER_MINUTE = 60_000_000
_FIRST_WARM_UP_S = 8.0
_ALL = "all processes of the gateway"
_NOT_OF_IT = {"load generator"}
_GROUPS: Mapping[str, Callable[[str], bool]] = {
    _ALL: lambda group: group not in _NOT_OF_IT,
    "its replicas and cache shards alone": lambda group: group in {"easypay replicas", "cache shards"},
}

_Pair = tuple[Window, Window]


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold what a payment takes of processors, in microseconds, with the limit and without it."""

    group: str
    with_limit_us: float
    without_us: float
    ratio: Ratio

    @property
    def met(self) -> bool | None:
        """Whether the whole interval is within the target, which is one for all processes together."""
        return self.ratio.high <= RATIO_MAX if self.group == _ALL else None


def main() -> int:
    """Measure, report, and return the exit code."""
    options = _parser().parse_args()
    if options.smoke:
        options.pairs, options.seconds = 3, 2.0
    return run_command(
        lambda out, progress: _run(options, out, progress), as_json=options.json, enforce=options.enforce
    )


def costs(pairs: Sequence[_Pair]) -> list[Cost]:
    """Return what both sides of each pair came to, by group of processes."""
    found = []
    for name, is_in in _GROUPS.items():
        values = [(_us(limited, is_in), _us(free, is_in)) for limited, free in pairs]
        with_us, without_us = (statistics.median(side) for side in zip(*values, strict=True))
        found.append(Cost(name, with_us, without_us, paired_ratio(values)))
    return found


def _us(window: Window, is_in: Callable[[str], bool]) -> float:
    seconds = sum(seconds for group, seconds in window.cpu.items() if is_in(group))
    return seconds / window.load.requests * 1e6


def _run(options: argparse.Namespace, out: Console, progress: Console) -> bool:
    generator = choose_generator(options.load)
    progress.print("starting the gateway")
    with started(options.replicas) as gateway:
        pairs = _measure(options, gateway, generator, progress)
        progress.print("taking everything down")
    found = costs(pairs)
    out.print(_table(found, len(pairs)))
    if options.json:
        told = {
            "costs": [{**asdict(cost), "met": cost.met} for cost in found],
            "pairs": [[window.as_json() for window in pair] for pair in pairs],
        }
        sys.stdout.write(json.dumps(told) + "\n")
    return any(cost.met is False for cost in found)


def _measure(options: argparse.Namespace, gateway: Gateway, generator: LoadGenerator, progress: Console) -> list[_Pair]:
    limited, free = _subjects(gateway)
    meter = Meter(generator, {gateway.pid: "launcher"})
    for subject in (limited, free):
        progress.print(f"warming up, {subject.name}")
        meter.warm_up(subject, connections=options.connections, seconds=min(_FIRST_WARM_UP_S, options.seconds * 2))
    pairs: list[_Pair] = []
    for turn in range(options.pairs):
        windows = {}
        # Each is first in every other pair: what drifts within one favours neither.
        for subject in (limited, free) if turn % 2 else (free, limited):
            windows[subject.name] = meter.measure(
                subject, connections=options.connections, seconds=options.seconds, turn=turn
            )
        pairs.append((windows[limited.name], windows[free.name]))
        us = [_us(window, _GROUPS[_ALL]) for window in pairs[-1]]
        progress.print(f"pair {turn + 1}/{options.pairs}: {us[0]:7.1f} us with, {us[1]:7.1f} us without")
    return pairs


def _subjects(gateway: Gateway) -> tuple[Subject, Subject]:
    subject = easypay(gateway)
    limits = {"with a limit": _PER_MINUTE, "without a limit": 0}
    with_limit, without = (
        replace(
            subject,
            name=name,
            target=replace(subject.target, authorization=f"Bearer {new_key(gateway, name, rate_limit=per_minute)}"),
        )
        for name, per_minute in limits.items()
    )
    return with_limit, without


def _table(found: Sequence[Cost], pairs: int) -> Table:
    title = f"Processor time of a payment, medians of {pairs} pairs (target: at most x{RATIO_MAX:g})"
    table = Table("", title=title)
    for head in ("with a limit", "without", "ratio, 95 %", "target"):
        table.add_column(head, justify="right")
    for cost in found:
        told = {None: "", True: "met", False: "missed" if cost.ratio.low > RATIO_MAX else "cannot tell"}[cost.met]
        table.add_row(cost.group, f"{cost.with_limit_us:.1f} us", f"{cost.without_us:.1f} us", str(cost.ratio), told)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.bench.limits_cost", description="Measure what rate limits cost.")
    parser.add_argument("--pairs", type=int, default=24, help="turns with a window of each merchant")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a measured window")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--load", choices=("auto", "wrk", "built-in"), default="auto", help="load generator")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and the table to stderr")
    parser.add_argument("--smoke", action="store_true", help="only see that it works: three pairs of 2 s")
    parser.add_argument("--enforce", action="store_true", help="exit with 1 where the target is not met")
    return parser


if __name__ == "__main__":
    sys.exit(main())
