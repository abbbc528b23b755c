"""A processor that is slow: three times as much as it can do is asked for."""

from __future__ import annotations

from tests.bench.overload.answer import ANSWERED, Outcome
from tests.bench.overload.bench import Bench
from tests.bench.overload.keys import main_merchant
from tests.bench.overload.memory import Memory, Watch, read_memory
from tests.bench.overload.mix import CREATES, PROCESSOR_WORK, Mix
from tests.bench.overload.ramp import Climb
from tests.bench.overload.scale import Scale
from tests.bench.overload.tally import Tally
from tests.bench.overload.verdict import PartResult, Verdict, all_of, at_least, below, kept_up, none_of, refusals, shown

OVERLOAD = 3.0
NORMAL = 0.5
GOODPUT_MIN = 0.9
FINISHING_P99_MS = 1000.0
# A cache that fills is no leak: its bounds are several times this.
GROWTH_MAX = 1.15
GOOD = (Outcome.GOOD,)
BESIDE = ("read", "list")


def run(bench: Bench) -> PartResult:
    """Find the knee, pass it, and look at what is left of the gateway afterwards."""
    scale = bench.options.scale
    with bench.slow_gateway() as gateway:
        merchant = main_merchant(gateway)
        at_once = min(64, scale.concurrency)
        mix = Mix(merchant, PROCESSOR_WORK, ("create", "capture"), at_once=at_once)
        knee = bench.knee(gateway, mix, scale.slow_ramp)
        bench.progress("preparing payments to capture")
        streams = mix.streams(OVERLOAD * knee.peak_per_s, 0, scale.load_s)
        normal = Mix(merchant, CREATES, ("create",), at_once=at_once)
        end_s = scale.load_s + scale.after_s
        streams += normal.streams(NORMAL * knee.peak_per_s, scale.load_s, end_s, prefix="normal ")
        watch, before = Watch(gateway.pid), read_memory(gateway.pid)
        bench.progress(f"{OVERLOAD:g} times the knee for {scale.load_s} s, then half of it for {scale.after_s} s")
        tally = bench.load(gateway, streams, meanwhile=watch.look)
        after = read_memory(gateway.pid)
    verdicts = judge(knee, tally, scale, mix.work()) + judge_memory(before, after, watch.peak_mib)
    setting = f"processor: {scale.latency_ms:g} ms, {scale.concurrency} at once; offered {OVERLOAD:g} times the knee"
    figures = {"ramp": [(step.offered_per_s, step.goodput_per_s) for step in knee.steps]}
    return PartResult("slow", setting, verdicts, {"overload": tally}, figures)


def judge(knee: Climb, tally: Tally, scale: Scale, work: tuple[str, ...]) -> tuple[Verdict, ...]:
    """Tell what held of goodput, latencies and recovery."""
    goodput = tally.goodput(1, scale.load_s, work)
    finishing = tally.latency_ms(0.99, GOOD, ("capture",))
    captured, captures = tally.count(GOOD, ("capture",)), tally.offered(("capture",))
    well_s, end_s = scale.load_s + scale.recovery_s, scale.load_s + scale.after_s
    normal = ("normal create",)
    return (
        Verdict("the ramp found the knee", "yes", f"{knee.peak_per_s:,.0f}/s", knee.has_found_knee),
        at_least("goodput, creates and captures", goodput, GOODPUT_MIN * knee.peak_per_s, "/s"),
        below("p99 of captures that were admitted", finishing, FINISHING_P99_MS, " ms"),
        shown("captures done", f"{captured:,} of {captures:,}"),
        *refusals(tally, (*work, *BESIDE)),
        all_of("overload: neither 2xx, 429 nor 503", tally, ANSWERED, (*work, *BESIDE)),
        shown("overload: 202, outcome unknown", f"{tally.count((Outcome.PENDING,), work):,}"),
        none_of(
            f"normal load not served, from {scale.recovery_s} s after the overload on",
            tally.due(frozenset(Outcome) - {Outcome.GOOD}, well_s, end_s, normal),
            tally.due(Outcome, well_s, end_s, normal),
        ),
        *kept_up(tally, "overload"),
    )


def judge_memory(before: Memory, after: Memory, peak_mib: float) -> tuple[Verdict, ...]:
    """Tell whether memory grew."""
    start, end = before.replicas_total_mib, after.replicas_total_mib
    same = before.replicas_mib.keys() == after.replicas_mib.keys()
    return (
        _growth("memory of the replicas (resident)", start, end, f", at most {peak_mib:,.0f}"),
        _growth("memory of the whole gateway (proportional)", before.all_mib, after.all_mib),
        Verdict("the same replicas as before", "yes", "yes" if same else "no", same),
    )


def _growth(name: str, start_mib: float, end_mib: float, more: str = "") -> Verdict:
    seen = f"{start_mib:,.0f} → {end_mib:,.0f} MiB{more}"
    return Verdict(name, f"< {GROWTH_MAX:g} times", seen, end_mib < GROWTH_MAX * start_mib)
