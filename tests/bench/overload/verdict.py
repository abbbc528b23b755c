"""Verdicts: what must hold, and what was seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.overload.answer import Outcome
from tests.bench.overload.tally import Tally


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold one line of a part's table. ``met`` is None where nothing is demanded, only shown."""

    name: str
    must: str
    seen: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class PartResult:
    """Hold what one part found: its verdicts, other figures, and everything that was counted, by run."""

    name: str
    setting: str
    verdicts: tuple[Verdict, ...]
    tallies: dict[str, Tally] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the machine-readable form."""
        return {
            "part": self.name,
            "setting": self.setting,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "figures": self.figures,
            "runs": {name: tally.as_json() for name, tally in self.tallies.items()},
        }


def at_least(name: str, seen: float, bound: float, unit: str = "") -> Verdict:
    """Demand a figure that is no smaller."""
    return Verdict(name, f"≥ {_number(bound)}{unit}", f"{_number(seen)}{unit}", seen >= bound)


def below(name: str, seen: float | None, bound: float, unit: str = "") -> Verdict:
    """Demand a smaller figure; one that is missing meets nothing."""
    if seen is None:
        return Verdict(name, f"< {_number(bound)}{unit}", "none", False)
    return Verdict(name, f"< {_number(bound)}{unit}", f"{_number(seen)}{unit}", seen < bound)


def below_if_any(name: str, seen: float | None, bound: float, unit: str = "") -> Verdict:
    """Demand a smaller figure where there is one."""
    if seen is None:
        return Verdict(name, f"< {_number(bound)}{unit}", "none", None)
    return below(name, seen, bound, unit)


def none_of(name: str, seen: int, among: int) -> Verdict:
    """Demand that something did not happen among those that could; with none of these it was not tried."""
    return Verdict(name, "0", f"{seen:,} of {among:,}", seen == 0 and among > 0)


def shown(name: str, seen: str) -> Verdict:
    """Demand nothing."""
    return Verdict(name, "-", seen, None)


def kept_up(tally: Tally, run: str) -> tuple[Verdict, ...]:
    """Tell whether the generator did what it was asked, for otherwise something else was measured; and what it cost."""
    unsent = tally.count((Outcome.UNSENT,))
    late_s = tally.late_s.quantile(0.99)
    late = "none sent" if late_s is None else f"late p99 {late_s * 1e3:.1f} ms"
    return (
        none_of(f"{run}: requests the generator could not send", unsent, tally.offered()),
        shown(f"{run}: generator", f"{late}, CPU {tally.cpu_us_each:.0f} us each, {tally.opened:,} connections"),
    )


def all_of(name: str, tally: Tally, allowed: Iterable[Outcome], names: Iterable[str] | None = None) -> Verdict:
    """Demand that requests ended in these ways alone; says how the others did."""
    allowed = frozenset(allowed)
    chosen = None if names is None else tuple(names)
    others = {outcome: tally.count((outcome,), chosen) for outcome in Outcome if outcome not in allowed}
    listed = ", ".join(f"{number:,} {outcome}" for outcome, number in others.items() if number) or "0"
    offered = tally.offered(chosen)
    return Verdict(name, "0", f"{listed} of {offered:,}", offered > 0 and not any(others.values()))


def refusals(tally: Tally, names: Iterable[str] | None = None) -> tuple[Verdict, ...]:
    """Demand that refusals are quick and say when to come again."""
    chosen = list(tally.streams if names is None else names)
    refused = tally.count((Outcome.REFUSED,), chosen)
    missing = sum(tally.streams[name].retry_after_missing for name in chosen)
    waits: dict[int, int] = {}
    for name in chosen:
        for wait_s, number in tally.streams[name].retry_after_s.items():
            waits[wait_s] = waits.get(wait_s, 0) + number
    asked = ", ".join(f"{wait_s} s: {number:,}" for wait_s, number in sorted(waits.items())[:6]) or "none"
    return (
        below_if_any("refusals (429, 503) p99", tally.latency_ms(0.99, (Outcome.REFUSED,), chosen), 50.0, " ms"),
        Verdict(
            "refusals without Retry-After", "0", f"{missing:,} of {refused:,}", None if not refused else not missing
        ),
        shown("Retry-After of refusals", asked),
    )


def quantile_text(tally: Tally, part: float, *names: str) -> str:
    """Return a quantile of the latency of what these streams were served, to be shown."""
    found = tally.latency_ms(part, (Outcome.GOOD,), names)
    return "none" if found is None else f"{_number(found)} ms"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
