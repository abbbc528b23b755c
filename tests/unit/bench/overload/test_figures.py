"""The figures of parts: costs, stocks, medians, and the command line."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from tests.bench.overload.cost import each_cost
from tests.bench.overload.memory import Memory
from tests.bench.overload.mix import enough
from tests.bench.overload.options import PARTS, parse_options
from tests.bench.overload.parts.refusal import Refusals, judge_refusals
from tests.bench.overload.parts.slow import judge_memory
from tests.bench.overload.polite import middle
from tests.bench.overload.schedule import Arrivals


def test_what_is_used_at_rest_is_no_cost_of_requests() -> None:
    """Of 2 s in 10 s at 0.1 s a second, one is left for 1,000 requests: a millisecond each."""
    cost = each_cost({"replicas": 2.0, "ray": 0.5}, {"replicas": 0.1, "ray": 0.05}, 10.0, 1000)
    assert cost.us_by_group == pytest.approx({"replicas": 1000.0, "ray": 0.0})
    assert cost.us == pytest.approx(1000.0)
    assert cost.main_groups == "replicas 1000"


def test_a_stock_outlasts_chance() -> None:
    """Six standard deviations more than are expected."""
    assert enough(Arrivals(10, 0, 10)) == 100 + 60 + 6


def test_a_cost_is_told_in_echoes_and_only_of_refusals() -> None:
    """Where requests were served instead of refused the line fails."""
    cost = each_cost({"replicas": 1.0}, {}, 1.0, 1000)
    verdicts = judge_refusals(Refusals({"echo": cost, "429": cost, "503": cost}, {"429": 0.99, "503": 0.5}))
    assert verdicts[1].seen.startswith("1.00 echoes, 1,000 us")
    assert [verdict.met for verdict in verdicts] == [None, None, True, None, False]


def test_memory_may_not_grow_and_replicas_may_not_be_others() -> None:
    """A replica that was replaced hides what the one before had grown by."""
    before = Memory({1: 100.0, 2: 100.0}, 1000.0)
    assert [each.met for each in judge_memory(before, Memory({1: 110.0, 2: 110.0}, 1100.0), 230.0)] == [True] * 3
    assert judge_memory(before, Memory({1: 140.0, 2: 100.0}, 1000.0), 240.0)[0].met is False
    assert judge_memory(before, Memory({1: 100.0, 3: 100.0}, 1000.0), 200.0)[2].met is False


def test_the_middle_of_nothing_is_nothing() -> None:
    """Where no client got through there is no median."""
    assert middle([]) == 0
    assert middle([3.0, 1.0, 2.0]) == 2.0


def test_all_parts_run_unless_some_are_named() -> None:
    """The length of a load can be set, and the options fit into the report."""
    assert parse_options([]).parts == PARTS
    options = parse_options(["--parts", "cpu,slow", "--seconds", "20"])
    assert (options.parts, options.scale.load_s) == (("cpu", "slow"), 20)
    assert json.loads(json.dumps(asdict(options)))["scale"]["load_s"] == 20


@pytest.mark.parametrize("wrong", [["--parts", "slow,fast"], ["--seconds", "1"], ["--replicas", "0"]])
def test_a_wrong_option_ends_the_program_with_its_name(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started."""
    with pytest.raises(SystemExit):
        parse_options(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_a_smoke_run_looks_at_every_part_for_seconds() -> None:
    """What is looked at after the load outlasts the time to recover."""
    scale = parse_options(["--smoke"]).scale
    assert scale.load_s + scale.after_s < 10
    assert scale.recovery_s < scale.after_s
