"""What maintenance costs payments: `python -m tests.bench.maintenance [--pairs N] [--seconds N] [--json] [--enforce]`.

Two windows of a pair follow each other on one gateway that only looks at its database: one alone, one while everything
that may be done on a busy database is done over and over: every table is vacuumed and analyzed at the pace and with the
rests of what is due. The gateway itself does far less: a table rests a quarter of an hour. Rebuilds of indexes are left
out: on a busy database there are none.

Exit codes: 0 measured; 1 the target is missed and `--enforce` was given; 2 the run itself failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from actors.maintenance.load import Load, Thresholds
from actors.maintenance.maintainer import Maintainer
from actors.maintenance.policy import Policy
from cluster.data_dir import DataDir
from cluster.settings import read_settings
from tests.bench.command import run_command
from tests.bench.driver import choose_generator
from tests.bench.failure import BenchFailed
from tests.bench.gateway import Gateway, started
from tests.bench.ratio import Ratio, paired_ratio
from tests.bench.subjects import easypay
from tests.bench.window import Meter

THROUGHPUT_MIN = 0.9
CONNECTIONS = 64
_FIRST_WARM_UP_S = 8.0
_END_TIMEOUT_S = 60.0
# Everything is due at the first changed row, and again at once.
_WITHOUT_END = Policy(quiet_share=1e-9, busy_share=1e-9, rows_min=1, rest_s=0.0, run_steps_max=1000)
_ALWAYS_BUSY = Thresholds(1e-9, 1e-9)


@dataclass(frozen=True, slots=True)
class Figures:
    """Payments a second with maintenance over those without; and how many steps of each kind there were."""

    throughput: Ratio
    alone: list[float]
    maintained: list[float]
    steps: dict[str, int]


class Upkeep:
    """Maintains over and over on a loop of its own."""

    def __init__(self, owner_url: str) -> None:
        self._maintainer = Maintainer(owner_url, _WITHOUT_END, Load(_ALWAYS_BUSY))
        self.steps: Counter[str] = Counter()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Maintain until the block ends."""
        ended = threading.Event()
        faults: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._until(ended))
            except BaseException as fault:
                faults.append(fault)

        thread = threading.Thread(target=run, name="maintenance")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(_END_TIMEOUT_S)
        if faults or thread.is_alive():
            raise BenchFailed(f"maintenance failed: {faults or 'it does not end'}")

    async def _until(self, ended: threading.Event) -> None:
        working = asyncio.create_task(self._work())
        await asyncio.to_thread(ended.wait)
        if not working.done():
            working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        if not working.cancelled() and (fault := working.exception()) is not None:
            raise fault

    async def _work(self) -> None:
        while True:
            done = await self._maintainer.run(lambda each, _total: self.steps.update([each.step.action.value]))
            if done is None or any(each.error for each in done):
                raise BenchFailed(f"not maintained: {done}")


def main() -> int:
    """Measure, report, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--load", choices=["auto", "wrk", "built-in"], default="auto")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--enforce", action="store_true")
    options = parser.parse_args()
    return run_command(
        lambda out, progress: _run(options, out, progress), as_json=options.json, enforce=options.enforce
    )


def _run(options: argparse.Namespace, out: Console, progress: Console) -> bool:
    progress.print("starting the gateway")
    with started(options.replicas, {"MAINTENANCE_MODE": "watch"}) as gateway:
        figures = _measure(options, gateway, progress)
    out.print(f"payments with maintenance over those without: {figures.throughput}, at least {THROUGHPUT_MIN}")
    out.print(f"steps in {len(figures.maintained) * options.seconds:g} s: {figures.steps}")
    if options.json:
        sys.stdout.write(json.dumps(asdict(figures)) + "\n")
    return figures.throughput.ratio < THROUGHPUT_MIN


def _measure(options: argparse.Namespace, gateway: Gateway, progress: Console) -> Figures:
    subject = easypay(gateway)
    meter = Meter(choose_generator(options.load), {gateway.pid: "launcher"})
    upkeep = Upkeep(_owner_url(gateway))
    meter.warm_up(subject, connections=CONNECTIONS, seconds=_FIRST_WARM_UP_S)
    rates: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(options.pairs):
        # Each comes first as often as the other: tables grow.
        for is_maintained in (False, True) if turn % 2 == 0 else (True, False):
            if is_maintained:
                with upkeep.going_on():
                    window = meter.measure(subject, connections=CONNECTIONS, seconds=options.seconds, turn=turn)
            else:
                window = meter.measure(subject, connections=CONNECTIONS, seconds=options.seconds, turn=turn)
            rates[is_maintained].append(window.load.rate)
            name = "maintained" if is_maintained else "alone"
            progress.print(f"pair {turn + 1}/{options.pairs}  {name:<10} {window.load.rate:8,.0f}/s")
    if not upkeep.steps["vacuum"]:
        raise BenchFailed("nothing was vacuumed")
    ratio = paired_ratio(list(zip(rates[True], rates[False], strict=True)))
    return Figures(ratio, rates[False], rates[True], dict(upkeep.steps))


def _owner_url(gateway: Gateway) -> str:
    settings = read_settings(DataDir(Path(gateway.data_dir)).settings_file)
    assert settings.owner_url is not None, "a gateway that runs has one"
    return settings.owner_url.get_secret_value()


if __name__ == "__main__":
    sys.exit(main())
