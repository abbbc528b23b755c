"""The machine is the limit: the processor answers at once, in the replicas themselves."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from tests.bench.gateway import Gateway
from tests.bench.overload.answer import ANSWERED
from tests.bench.overload.bench import Bench
from tests.bench.overload.keys import main_merchant
from tests.bench.overload.mix import MACHINE_WORK, Mix
from tests.bench.overload.parts.refusal import judge_refusals, measure_at_queue, measure_at_rate_limit
from tests.bench.overload.polite import Polite, PoliteTally, middle, start_polite
from tests.bench.overload.ramp import Climb
from tests.bench.overload.scale import Scale
from tests.bench.overload.tally import Tally
from tests.bench.overload.verdict import (
    PartResult,
    Verdict,
    all_of,
    at_least,
    kept_up,
    none_of,
    quantile_text,
    refusals,
    shown,
)

KINDS = ("create", "read", "list")
ABOVE, TWICE = 1.3, 2.0
# Back to what it can well do: at the knee itself a gateway with a backlog could never be rid of it.
AFTER = 0.8
ABOVE_GOODPUT_MIN, BACK_MIN = 0.5, 0.95
POLITE_START_S = 1.0
# Of the load, so that the last polite client starts while it lasts.
POLITE_SPREAD = 0.5
PREPARED_AT_ONCE = 16


def run(bench: Bench) -> PartResult:
    """Measure what a refusal costs; find the knee; ask for more, and then for much more."""
    scale = bench.options.scale
    with bench.gateway() as gateway:
        cost = measure_at_rate_limit(bench, gateway)
        mix = Mix(main_merchant(gateway), MACHINE_WORK, KINDS, at_once=PREPARED_AT_ONCE)
        knee = bench.knee(gateway, mix, scale.cpu_ramp)
        bench.progress(f"{ABOVE:g} times the knee for {scale.load_s} s")
        above = bench.load(gateway, mix.streams(ABOVE * knee.peak_per_s, 0, scale.load_s))
        twice, polite = _twice(bench, gateway, mix, knee.peak_per_s)
    cost = measure_at_queue(bench, cost)
    verdicts = (
        *judge_refusals(cost),
        *judge(knee, above, twice, scale),
        *judge_polite(polite, scale),
        *kept_up(above, f"{ABOVE:g}x"),
        *kept_up(twice, f"{TWICE:g}x"),
    )
    tallies = {"above": above, "twice": twice}
    figures = {
        "ramp": [(step.offered_per_s, step.goodput_per_s) for step in knee.steps],
        "polite_took_s": sorted(round(each, 3) for each in polite.took_s),
        "polite_answers": dict(polite.answers),
        "cost_us": {name: dict(each.us_by_group) for name, each in cost.by_name.items()},
    }
    setting = f"simulator in the replicas; {ABOVE:g} and {TWICE:g} times the knee of {knee.peak_per_s:,.0f}/s"
    return PartResult("cpu", setting, verdicts, tallies, figures)


def _twice(bench: Bench, gateway: Gateway, mix: Mix, peak_per_s: float) -> tuple[Tally, PoliteTally]:
    """Offer twice the knee, and what the gateway can well do after it, with polite clients in between."""
    scale = bench.options.scale
    bench.progress(f"{TWICE:g} times the knee for {scale.load_s} s, with {scale.polite_clients} polite clients")
    polite = Polite(
        mix.merchant,
        scale.polite_clients,
        POLITE_START_S,
        POLITE_SPREAD * scale.load_s,
        scale.polite_patience_s,
        bench.options.seed,
    )
    streams = mix.streams(TWICE * peak_per_s, 0, scale.load_s)
    streams += mix.streams(AFTER * peak_per_s, scale.load_s, scale.load_s + scale.after_s, prefix="after ", paced=True)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = start_polite(polite, pool)
        tally = bench.load(gateway, streams)
        return tally, running.result()


def judge(knee: Climb, above: Tally, twice: Tally, scale: Scale) -> tuple[Verdict, ...]:
    """Tell what held under both loads and after them."""
    peak = knee.peak_per_s
    well_s, end_s = scale.load_s + scale.recovery_s, scale.load_s + scale.after_s
    after = tuple(f"after {name}" for name in KINDS)
    return (
        Verdict("the ramp found the knee", "yes", f"{peak:,.0f}/s", knee.has_found_knee),
        at_least(f"{ABOVE:g}x: goodput", above.goodput(1, scale.load_s, KINDS), ABOVE_GOODPUT_MIN * peak, "/s"),
        all_of(f"{ABOVE:g}x: neither 2xx, 429 nor 503", above, ANSWERED, KINDS),
        shown(f"{TWICE:g}x: goodput", f"{twice.goodput(1, scale.load_s, KINDS):,.0f}/s"),
        all_of(f"{TWICE:g}x: neither 2xx, 429 nor 503", twice, ANSWERED, KINDS),
        shown(f"{TWICE:g}x: slowest answer", f"{twice.latency_max_ms(frozenset(ANSWERED), KINDS):,.0f} ms"),
        shown(f"{TWICE:g}x: p99 of what was served", quantile_text(twice, 0.99, *KINDS)),
        *refusals(twice, KINDS),
        at_least(
            f"goodput from {scale.recovery_s} s after the load on, offered {AFTER:g} of the knee",
            twice.goodput(well_s, end_s, after),
            BACK_MIN * AFTER * peak,
            "/s",
        ),
    )


def judge_polite(polite: PoliteTally, scale: Scale) -> tuple[Verdict, ...]:
    """Tell whether those got through who came back when they were told to."""
    told = ", ".join(f"{number:,} × {name}" for name, number in sorted(polite.answers.items()))
    slowest = max(polite.took_s, default=0.0)
    return (
        none_of(
            f"polite clients without a payment within {scale.polite_patience_s:g} s",
            scale.polite_clients - len(polite.took_s),
            scale.polite_clients,
        ),
        shown("their tries, median and most", f"{middle(polite.tries):g} and {max(polite.tries, default=0)}"),
        shown("how long it took them", f"{middle(polite.took_s):.1f} s and {slowest:.1f} s"),
        shown("what they were told", told),
    )
