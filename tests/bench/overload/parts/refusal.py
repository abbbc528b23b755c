"""What a refusal costs, beside what the engine takes for any answer at all: a raw echo behind the same ingress."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.bench import echo
from tests.bench.gateway import Gateway
from tests.bench.overload.answer import Outcome
from tests.bench.overload.bench import Bench
from tests.bench.overload.cost import Cost, Meter
from tests.bench.overload.keys import main_merchant, new_merchant
from tests.bench.overload.schedule import Arrivals
from tests.bench.overload.stream import Request, Stream
from tests.bench.overload.tally import Tally
from tests.bench.overload.verdict import Verdict, shown
from tests.bench.subjects import deployed_echo

# A merchant that is over its limit at once.
PER_MINUTE = 10
# A gateway whose replicas are full with two requests each, and stay so: each of these takes two seconds.
FULL = {"MAX_WORKERS": "1", "MAX_QUEUE_SIZE": "1"}
SLOW_TOKEN = "tok_slow"
# Fewer refusals, and it was something else that was measured.
REFUSED_MIN = 0.95


@dataclass(frozen=True, slots=True)
class Refusals:
    """Hold costs by what came back, and which part of the requests was refused where they should have been."""

    by_name: dict[str, Cost]
    refused: dict[str, float]


def measure_at_rate_limit(bench: Bench, gateway: Gateway) -> Refusals:
    """Measure an echo, and a merchant that is over its limit."""
    bench.progress("what an echo and a 429 cost")
    merchant = main_merchant(gateway)
    with deployed_echo(gateway, bench.options.replicas):
        meter = _rested(bench, gateway)
        echoed, _ = _measured(bench, gateway, meter, merchant.create(path=echo.ROUTE))
    limited = new_merchant(gateway, "Limited", rate_limit_per_minute=PER_MINUTE)
    meter = _rested(bench, gateway)
    refused, tally = _measured(bench, gateway, meter, limited.create())
    return Refusals({"echo": echoed, "429": refused}, {"429": _refused(tally)})


def measure_at_queue(bench: Bench, known: Refusals) -> Refusals:
    """Measure, at a gateway of its own, those that find every place taken."""
    with bench.gateway(FULL) as gateway:
        bench.progress("what a 503 costs")
        merchant = main_merchant(gateway)
        meter = _rested(bench, gateway)
        cost, tally = _measured(bench, gateway, meter, merchant.create(token=SLOW_TOKEN))
    return replace(known, by_name=known.by_name | {"503": cost}, refused=known.refused | {"503": _refused(tally)})


def judge_refusals(found: Refusals) -> tuple[Verdict, ...]:
    """Show what refusals cost; demand that it was refusals."""
    echoed = found.by_name["echo"].us
    verdicts = [shown("CPU of an echo", f"{echoed:,.0f} us: {found.by_name['echo'].main_groups}")]
    for name, refused in found.refused.items():
        cost = found.by_name[name]
        ratio = cost.us / echoed if echoed > 0 else float("inf")
        verdicts.append(shown(f"CPU of a {name}", f"{ratio:.2f} echoes, {cost.us:,.0f} us: {cost.main_groups}"))
        verdicts.append(
            Verdict(f"refused, of those for a {name}", f"≥ {REFUSED_MIN:.0%}", f"{refused:.1%}", refused >= REFUSED_MIN)
        )
    return tuple(verdicts)


def _rested(bench: Bench, gateway: Gateway) -> Meter:
    meter = Meter(gateway.pid)
    meter.rest(bench.options.scale.cost_s / 2)
    return meter


def _measured(bench: Bench, gateway: Gateway, meter: Meter, request: Request) -> tuple[Cost, Tally]:
    scale = bench.options.scale
    # The first ones open connections and fill what is kept near.
    bench.load(gateway, [Stream("warm-up", request, Arrivals(scale.cost_per_s, 0, 2, paced=True))])
    stream = Stream("cost", request, Arrivals(scale.cost_per_s, 0, scale.cost_s, paced=True))
    return meter.measure(lambda: bench.load(gateway, [stream]))


def _refused(tally: Tally) -> float:
    return tally.count((Outcome.REFUSED,)) / max(1, tally.offered())
