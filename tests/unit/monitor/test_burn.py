"""Error budgets burn over two windows at once."""

from __future__ import annotations

import pytest

from actors.monitor.burn import DAY_S, HOUR_S, MINUTE_S, WORKBOOK, BudgetBurn, Slo
from actors.monitor.measures import select

SLO = Slo("answers", select("bad_total"), select("all_total"), objective=0.999)
START = 1_800_000_000.0


class Budget:
    """A budget and what happened; 100 events a second."""

    def __init__(self, slo: Slo = SLO) -> None:
        self.burn = BudgetBurn(slo)
        self.now = START
        self.bad = self.all = 0.0

    def run(self, seconds: float, ratio: float, step_s: float = 5.0) -> None:
        """Let time pass with this part of the events bad."""
        for _ in range(round(seconds / step_s)):
            self.now += step_s
            self.all += 100 * step_s
            self.bad += 100 * step_s * ratio
            self.burn.see(self.bad, self.all, self.now)

    def over(self) -> list[str]:
        """Return the long windows whose alerts are over."""
        return [dict(each.labels)["window"] for each in self.burn.find(self.now) if each.is_over]


def test_the_workbook_s_windows_and_factors() -> None:
    """Table 5-8: 2 %, 5 % and 10 % of a budget of thirty days."""
    spent = [burn.factor * burn.long_s / (30 * DAY_S) for burn in WORKBOOK]
    assert spent == [pytest.approx(0.02), pytest.approx(0.05), pytest.approx(0.1)]
    assert [burn.long_s / burn.short_s for burn in WORKBOOK] == [12, 12, 12]


def test_a_rate_is_the_ratio_over_the_budget() -> None:
    """Over any window that is as long or shorter."""
    budget = Budget()
    budget.run(7 * HOUR_S, 0.002, 60.0)
    assert [view.long for view in budget.burn.burns(budget.now)] == [
        pytest.approx(2 * part, rel=0.01) for part in (1, 1, 7 / 72)
    ]
    assert budget.over() == []
    budget.run(66 * HOUR_S, 0.002, 60.0)
    assert [view.long for view in budget.burn.burns(budget.now)] == [pytest.approx(2, rel=0.01)] * 3
    assert budget.over() == ["3d"]


@pytest.mark.parametrize(("ratio", "window", "after_s"), [(0.1, "1h", 540), (0.007, "6h", 6 * HOUR_S * 0.9)])
def test_it_is_found_when_so_much_of_the_budget_is_gone(ratio: float, window: str, after_s: float) -> None:
    """After a long quiet time; a tenth of all answers bad takes nine minutes to use up 2 % of a month's budget."""
    budget = Budget()
    budget.run(DAY_S, 0, 60.0)
    budget.run(after_s * 0.9, ratio)
    assert window not in budget.over()
    budget.run(after_s * 0.25, ratio)
    assert window in budget.over()


def test_it_is_over_soon_after_the_end() -> None:
    """The short window says so, though the long one still remembers."""
    budget = Budget()
    budget.run(HOUR_S, 0.5)
    assert "1h" in budget.over()
    budget.run(5 * MINUTE_S + 5, 0)
    assert "1h" not in budget.over()
    assert next(budget.burn.burns(budget.now)).long > 14.4


def test_few_errors_fire_nothing() -> None:
    """One error of ten events in an hour is a hundred times the budget, and no fault."""
    budget = Budget()
    budget.burn.see(0, 0, START)
    budget.now = START + HOUR_S
    budget.burn.see(1, 10, budget.now)
    assert next(budget.burn.burns(budget.now)).long == pytest.approx(100)
    assert budget.over() == []


def test_half_a_minute_of_errors_after_a_start_fires_nothing() -> None:
    """It is 0.07 % of a month's budget, then as later; a minute without a single answer is too much for a page."""
    budget = Budget()
    budget.run(30, 1.0)
    assert budget.over() == []
    budget.run(30, 1.0)
    assert budget.over() == ["1h"]


def test_what_is_older_than_a_window_is_forgotten() -> None:
    """After three days of good answers nothing is left of bad ones."""
    budget = Budget()
    budget.run(HOUR_S, 1.0, 60.0)
    budget.run(3 * DAY_S + 20 * MINUTE_S, 0, 300.0)
    assert [view.long for view in budget.burn.burns(budget.now)] == [0, 0, 0]


def test_a_budget_outlives_its_monitor() -> None:
    """What another kept goes on, a while later; sums begin anew."""
    before, after = Budget(), Budget()
    before.run(72 * HOUR_S, 0.02, 60.0)
    after.burn.take_up(before.burn.keep())
    after.now = before.now
    after.run(60, 0)
    assert [view.long for view in after.burn.burns(after.now)] == [pytest.approx(20, rel=0.05)] * 3
    assert "1h" in after.over()
