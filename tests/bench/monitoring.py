"""What monitoring costs a payment: `python -m tests.bench.monitoring [--parts micro,payment] [--json] [--enforce]`.

Two gateways run beside each other, one with PERFORMANCE_MONITORING_ENABLED and one without, and take the load in turns.
What is compared is the time on processors of all processes of each, for each payment: the monitor's own process, which
works whether there is load or not, is in it. The other one rests meanwhile, as in the other window of its pair. The
micro part measures in this process what one request pays. It takes about eight minutes, which the machine should have
for itself.

Exit codes: 0 measured; 1 the target is missed, or the interval is too wide to tell, and `--enforce` was given; 2 the
run itself failed, so nothing was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from rich.console import Console
from rich.table import Table
from starlette.types import Message, Receive, Scope, Send

from actors.monitor.instruments import Instruments
from actors.runtime.clock import SystemClock
from serve_app.attempts.meter import Stage, Timed
from serve_app.middleware.http_metrics import HttpMetrics
from serve_app.monitoring.attempts import AttemptMetrics
from serve_app.monitoring.process import new_instruments
from tests.bench.command import run_command
from tests.bench.driver import choose_generator
from tests.bench.gateway import Gateway, started
from tests.bench.load import LoadGenerator
from tests.bench.ratio import Ratio, paired_ratio
from tests.bench.subjects import easypay
from tests.bench.window import Meter, Window

RATIO_MAX = 1.03
_FIRST_WARM_UP_S = 8.0
_OFF = {"PERFORMANCE_MONITORING_ENABLED": "false"}
_PARTS = ("micro", "payment")
_NOT_OF_IT = {"load generator"}
_GROUPS: Mapping[str, Callable[[str], bool]] = {
    "all processes of the gateway": lambda group: group not in _NOT_OF_IT,
    "its replicas alone": lambda group: group == "easypay replicas",
}
_ROUNDS, _CALLS = 9, 20_000

_Pair = tuple[Window, Window]


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold what a payment takes of processors, in microseconds, with monitoring and without it."""

    group: str
    with_us: float
    without_us: float
    ratio: Ratio
    met: bool | None


def main() -> int:
    """Measure, report, and return the exit code."""
    options = _parser().parse_args()
    if options.smoke:
        options.pairs, options.seconds = 3, 2.0
    return run_command(
        lambda out, progress: _run(options, out, progress), as_json=options.json, enforce=options.enforce
    )


def costs(pairs: Sequence[_Pair]) -> list[Cost]:
    """Return what both sides of each pair came to, by group of processes; the target is one for all of them."""
    found = []
    for name, is_in in _GROUPS.items():
        values = [(_us(on, is_in), _us(off, is_in)) for on, off in pairs]
        with_us, without_us = (statistics.median(side) for side in zip(*values, strict=True))
        ratio = paired_ratio(values)
        met = ratio.high <= RATIO_MAX if name == next(iter(_GROUPS)) else None
        found.append(Cost(name, with_us, without_us, ratio, met))
    return found


def micro() -> dict[str, float]:
    """Return the microseconds that each part takes in one process, the least of several rounds."""
    return {
        "a request": _request_us(),
        "a stage of an attempt": _stage_us(),
        "a report of a process": _report_us(),
    }


def _request_us() -> float:
    """Return what the middleware adds to an application that does nothing but answer."""
    start: Message = {"type": "http.response.start", "status": 201, "headers": []}
    body: Message = {"type": "http.response.body", "body": b"x" * 800}
    headers = [
        (b"host", b"x"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/json"),
        (b"content-length", b"120"),
    ]
    scope: Scope = {"type": "http", "method": "POST", "route_template": "/v1/payments", "headers": headers}

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start)
        await send(body)

    async def nothing(_: Message) -> None:
        return

    async def receive() -> Message:
        raise AssertionError

    measured = HttpMetrics(app, Instruments("bench"))

    async def all_of(served: Callable[[Scope, Receive, Send], object]) -> float:
        began = time.perf_counter()
        for _ in range(_CALLS):
            await served(scope, receive, nothing)  # type: ignore[misc]
        return time.perf_counter() - began

    async def both() -> float:
        with_s = [(await all_of(measured), await all_of(app)) for _ in range(_ROUNDS)]
        return min(on for on, _ in with_s) - min(off for _, off in with_s)

    return asyncio.run(both()) / _CALLS * 1e6


def _stage_us() -> float:
    metrics, clock = AttemptMetrics(Instruments("bench")), SystemClock()

    def once() -> float:
        began = time.perf_counter()
        for _ in range(_CALLS):
            with Timed(metrics, Stage.BEGIN, clock):
                pass
        return time.perf_counter() - began

    return min(once() for _ in range(_ROUNDS)) / _CALLS * 1e6


def _report_us() -> float:
    """Return what a report takes with as many series as a replica has, to take and to pickle, without the call."""
    instruments = new_instruments("bench")
    for route in range(10):
        for status in ("200", "201", "402"):
            instruments.count("requests_total", route=str(route), status=status)
    took = []
    for _ in range(200):
        for route in range(10):
            instruments.count("requests_total", route=str(route), status="200")
            for value in range(20):
                instruments.record("duration_seconds", 0.001 * (1 + value), route=str(route))
        began = time.perf_counter()
        pickle.dumps(instruments.take())
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


def _us(window: Window, is_in: Callable[[str], bool]) -> float:
    seconds = sum(seconds for group, seconds in window.cpu.items() if is_in(group))
    return seconds / window.load.requests * 1e6


def _run(options: argparse.Namespace, out: Console, progress: Console) -> bool:
    parts = set(options.parts.split(","))
    told: dict[str, object] = {}
    found: list[Cost] = []
    if "micro" in parts:
        told["micro_us"] = parted = micro()
        out.print(", ".join(f"{name}: {us:.1f} us" for name, us in parted.items()))
    if "payment" in parts:
        generator = choose_generator(options.load)
        progress.print("starting two gateways")
        with started(options.replicas) as on, started(options.replicas, _OFF) as off:
            pairs = _measure(options, on, off, generator, progress)
            progress.print("taking everything down")
        found = costs(pairs)
        out.print(_table(found, len(pairs)))
        told["costs"] = [asdict(cost) for cost in found]
        told["pairs"] = [[window.as_json() for window in pair] for pair in pairs]
    if options.json:
        sys.stdout.write(json.dumps(told) + "\n")
    return any(cost.met is False for cost in found)


def _measure(
    options: argparse.Namespace, on: Gateway, off: Gateway, generator: LoadGenerator, progress: Console
) -> list[_Pair]:
    sides = {
        name: (replace(easypay(gateway), name=name), Meter(generator, {gateway.pid: "launcher"}))
        for name, gateway in (("with monitoring", on), ("without monitoring", off))
    }
    for subject, meter in sides.values():
        progress.print(f"warming up, {subject.name}")
        meter.warm_up(subject, connections=options.connections, seconds=min(_FIRST_WARM_UP_S, options.seconds * 2))
    pairs: list[_Pair] = []
    for turn in range(options.pairs):
        windows: dict[str, Window] = {}
        # Each is first in every other pair: what drifts within one favours neither.
        for name in list(sides)[:: 1 if turn % 2 else -1]:
            subject, meter = sides[name]
            windows[name] = meter.measure(subject, connections=options.connections, seconds=options.seconds, turn=turn)
        pairs.append((windows["with monitoring"], windows["without monitoring"]))
        us = [_us(window, next(iter(_GROUPS.values()))) for window in pairs[-1]]
        progress.print(f"pair {turn + 1}/{options.pairs}: {us[0]:7.1f} us with, {us[1]:7.1f} us without")
    return pairs


def _table(found: Sequence[Cost], pairs: int) -> Table:
    title = f"Processor time of a payment, medians of {pairs} pairs (target: at most x{RATIO_MAX:g})"
    table = Table("", title=title)
    for head in ("with monitoring", "without", "ratio, 95 %", "target"):
        table.add_column(head, justify="right")
    for cost in found:
        told = {None: "", True: "met", False: "missed" if cost.ratio.low > RATIO_MAX else "cannot tell"}[cost.met]
        table.add_row(cost.group, f"{cost.with_us:.1f} us", f"{cost.without_us:.1f} us", str(cost.ratio), told)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.bench.monitoring", description="Measure what monitoring costs.")
    parser.add_argument("--parts", default=",".join(_PARTS), help="micro, payment, or both with a comma")
    parser.add_argument("--pairs", type=int, default=24, help="turns with a window of each gateway")
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
