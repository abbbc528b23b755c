"""What the parts conclude from what was counted."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.bench.overload.answer import Answer, Outcome
from tests.bench.overload.parts import beside, connections, cpu, flood, slow
from tests.bench.overload.polite import PoliteTally
from tests.bench.overload.ramp import Climb, Step
from tests.bench.overload.scale import FULL, SMOKE
from tests.bench.overload.tally import StreamTally, Tally
from tests.bench.overload.verdict import Verdict

DONE = Answer(201, b"", None, closes=False)
REFUSAL = Answer(503, b"", 1, closes=False)


def tally_of(*names: str) -> Tally:
    """Return an empty run of these streams."""
    return Tally({name: StreamTally() for name in names})


def steady(tally: Tally, name: str, per_s: int, start_s: int, stop_s: int) -> Tally:
    """Serve so many a second, each in 10 ms."""
    for second in range(start_s, stop_s):
        for _ in range(per_s):
            tally.streams[name].record(Outcome.GOOD, second, second + 0.01, DONE)
    return tally


def held(verdicts: tuple[Verdict, ...], name: str) -> bool | None:
    """Return whether the line whose name starts so held."""
    (found,) = [verdict for verdict in verdicts if verdict.name.startswith(name)]
    return found.met


@pytest.mark.parametrize(("per_s", "holds"), [(9, True), (8, False)])
def test_the_steady_merchant_keeps_nine_tenths(per_s: int, holds: bool) -> None:
    """Beside the flood it has 9 of 10 a second, or the part fails."""
    alone = steady(tally_of(flood.FLOOD, flood.STEADY), flood.STEADY, 10, 0, 5)
    beside = steady(tally_of(flood.FLOOD, flood.STEADY), flood.STEADY, per_s, 0, 5)
    assert held(flood.judge(alone, beside, 5, 5), "goodput of the steady") is holds


@pytest.mark.parametrize(("took_s", "refused", "tasks", "held_lines"), [
    (0.01, 0, 1500, (True, True, True)),
    (0.03, 0, 1500, (False, True, True)),
    (0.01, 1, 1500, (True, False, True)),
    (0.01, 0, 1400, (True, True, False)),
])  # fmt: skip
def test_payments_bear_the_work_beside_them(
    took_s: float, refused: int, tasks: int, held_lines: tuple[bool, ...]
) -> None:
    """No export makes them thrice as slow, nothing is refused, and the tasks are done too."""
    alone, export = (steady(tally_of("create"), "create", 10, 0, 3) for _ in range(2))
    for _ in range(10):
        export.streams["create"].record(Outcome.GOOD, 0, took_s, DONE)
    for _ in range(refused):
        alone.streams["create"].record(Outcome.REFUSED, 0, 0, REFUSAL)
    verdicts = beside.judge({"alone 1": alone, "export 1": export}, 3, (1500, tasks, 3.0))
    names = ("p99 beside an export", "payments that were not taken", "tasks that ended")
    assert tuple(held(verdicts, name) for name in names) == held_lines


@pytest.mark.parametrize(("refused_after_s", "holds"), [(SMOKE.recovery_s - 1, True), (SMOKE.recovery_s, False)])
def test_the_gateway_has_some_seconds_to_recover(refused_after_s: int, holds: bool) -> None:
    """What is refused just after an overload is forgiven, later it is not."""
    tally = tally_of("create", "capture", "read", "list", "normal create")
    steady(tally, "create", 10, 0, SMOKE.load_s)
    steady(tally, "normal create", 5, SMOKE.load_s, SMOKE.load_s + SMOKE.after_s)
    refused_s = SMOKE.load_s + refused_after_s
    tally.streams["normal create"].record(Outcome.REFUSED, refused_s, refused_s, REFUSAL)
    verdicts = slow.judge(Climb((Step(10, 10.0), Step(20, 10.0))), tally, SMOKE, ("create", "capture"))
    assert held(verdicts, "normal load not served") is holds
    assert held(verdicts, "goodput") is True


def test_captures_that_were_all_refused_are_not_quick() -> None:
    """A gateway that refuses all finishing work does not pass for one that does it fast."""
    tally = steady(tally_of("create", "capture", "read", "list", "normal create"), "create", 10, 0, SMOKE.load_s)
    tally.streams["capture"].record(Outcome.REFUSED, 0, 0, REFUSAL)
    verdicts = slow.judge(Climb((Step(10, 10.0),)), tally, SMOKE, ("create", "capture"))
    assert held(verdicts, "p99 of captures") is False
    assert held(verdicts, "the ramp found the knee") is False


def test_no_connection_may_be_refused_or_go_unserved() -> None:
    """One refusal among all answers fails the line."""
    tally = steady(tally_of(*connections.KINDS), "read", 10, 0, 3)
    tally.opened = 100
    assert held(connections.judge(100, tally), "100 connections: not served") is True
    tally.streams["list"].record(Outcome.REFUSED, 0, 0, REFUSAL)
    assert held(connections.judge(100, tally), "100 connections: not served") is False
    assert held(connections.judge(101, tally), "101 connections: opened") is False


def test_every_polite_client_must_get_through() -> None:
    """One that gave up fails the line; what all were told is shown."""
    tally = PoliteTally([1] * FULL.polite_clients, [0.5] * FULL.polite_clients, Counter({"201": 50}))
    assert held(cpu.judge_polite(tally, FULL), "polite clients without") is True
    tally.took_s.pop()
    assert held(cpu.judge_polite(tally, FULL), "polite clients without") is False
    assert cpu.judge_polite(tally, FULL)[-1].seen == "50 × 201"
