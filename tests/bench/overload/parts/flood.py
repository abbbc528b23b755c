"""One merchant floods the gateway; another goes on as before."""

from __future__ import annotations

from tests.bench.overload.answer import Outcome
from tests.bench.overload.bench import Bench
from tests.bench.overload.keys import main_merchant, new_merchant
from tests.bench.overload.mix import CREATES, Mix
from tests.bench.overload.tally import Tally
from tests.bench.overload.verdict import PartResult, Verdict, at_least, kept_up, quantile_text, refusals, shown

OVERLOAD = 3.0
GOODPUT_MIN = 0.9
FLOOD, STEADY = "flood create", "steady create"


def run(bench: Bench) -> PartResult:
    """Measure the steady merchant alone, then beside the flood."""
    scale = bench.options.scale
    with bench.slow_gateway() as gateway:
        at_once = min(64, scale.concurrency)
        flooding = Mix(main_merchant(gateway), CREATES, ("create",), at_once=at_once)
        steady = Mix(new_merchant(gateway, "Steady"), CREATES, ("create",), at_once=at_once)
        knee = bench.knee(gateway, flooding, scale.slow_ramp)
        bench.progress(f"{scale.flood_steady_per_s:g}/s alone for {scale.flood_alone_s} s")
        alone = bench.load(
            gateway, steady.streams(scale.flood_steady_per_s, 0, scale.flood_alone_s, prefix="steady ", paced=True)
        )
        bench.progress(f"beside {OVERLOAD:g} times the knee for {scale.load_s} s")
        streams = flooding.streams(OVERLOAD * knee.peak_per_s, 0, scale.load_s, prefix="flood ")
        streams += steady.streams(scale.flood_steady_per_s, 0, scale.load_s, prefix="steady ", paced=True)
        beside = bench.load(gateway, streams)
    verdicts = judge(alone, beside, scale.flood_alone_s, scale.load_s)
    setting = (
        f"processor: {scale.latency_ms:g} ms, {scale.concurrency} at once; knee {knee.peak_per_s:,.0f}/s; "
        f"one merchant {OVERLOAD:g} times that, another {scale.flood_steady_per_s:g}/s"
    )
    figures = {"ramp": [(step.offered_per_s, step.goodput_per_s) for step in knee.steps]}
    return PartResult("flood", setting, verdicts, {"alone": alone, "beside": beside}, figures)


def judge(alone: Tally, beside: Tally, alone_s: int, load_s: int) -> tuple[Verdict, ...]:
    """Tell whether the steady merchant had what it has alone."""
    had = alone.goodput(1, alone_s, (STEADY,))
    has = beside.goodput(1, load_s, (STEADY,))
    return (
        at_least("goodput of the steady merchant", has, GOODPUT_MIN * had, "/s"),
        shown("what became of its requests", _ends(beside, STEADY)),
        shown(
            "p99 of what it was served, alone and beside",
            f"{quantile_text(alone, 0.99, STEADY)} and {quantile_text(beside, 0.99, STEADY)}",
        ),
        shown("goodput of the flood", f"{beside.goodput(1, load_s, (FLOOD,)):,.0f}/s"),
        shown("what became of the flood", _ends(beside, FLOOD)),
        *refusals(beside),
        *kept_up(beside, "beside"),
    )


def _ends(tally: Tally, name: str) -> str:
    counts = {outcome: tally.count((outcome,), (name,)) for outcome in Outcome}
    return ", ".join(f"{number:,} {outcome}" for outcome, number in counts.items() if number)
