"""Many clients that stay connected, and now and then ask for something."""

from __future__ import annotations

from tests.bench.overload.answer import Outcome
from tests.bench.overload.bench import Bench
from tests.bench.overload.keys import main_merchant
from tests.bench.overload.mix import Mix, Shares
from tests.bench.overload.tally import Tally
from tests.bench.overload.verdict import PartResult, Verdict, all_of, at_least, kept_up, quantile_text, shown

SHARES = Shares(create=0.2, read=0.7, list=0.1)
KINDS = ("create", "read", "list")
GOOD = (Outcome.GOOD,)
PREPARED_AT_ONCE = 16


def run(bench: Bench) -> PartResult:
    """Hold each number of connections in turn."""
    scale = bench.options.scale
    tallies = {}
    with bench.gateway() as gateway:
        mix = Mix(main_merchant(gateway), SHARES, KINDS, at_once=PREPARED_AT_ONCE)
        bench.load(gateway, mix.streams(scale.connections_per_s, 0, 2))
        for number in scale.connections:
            bench.progress(f"{number:,} connections for {scale.connections_s} s")
            streams = mix.streams(scale.connections_per_s, 0, scale.connections_s, paced=True)
            tallies[f"{number} connections"] = bench.load(gateway, streams, open_first=number)
    verdicts = [
        verdict
        for number, tally in zip(scale.connections, tallies.values(), strict=True)
        for verdict in judge(number, tally)
    ]
    setting = f"{scale.connections_per_s:g} requests/s over all connections in turn, for {scale.connections_s} s"
    return PartResult("connections", setting, tuple(verdicts), tallies)


def judge(number: int, tally: Tally) -> tuple[Verdict, ...]:
    """Tell whether all were held and served."""
    run = f"{number:,} connections"
    latencies = ", ".join(
        f"{name} {quantile_text(tally, 0.5, name)} and {quantile_text(tally, 0.99, name)}" for name in KINDS
    )
    return (
        at_least(f"{run}: opened", tally.opened, number),
        all_of(f"{run}: not served", tally, GOOD),
        shown(f"{run}: p50 and p99", latencies),
        shown(f"{run}: closed at rest, asked again", f"{tally.closed_idle:,} and {tally.resent:,}"),
        *kept_up(tally, run),
    )
