"""What Grafana is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.dashboards.board import Board, as_json
from cluster.dashboards.boards import BOARDS
from tests.support.exposed_metrics import BOARDS as FOLDER
from tests.support.exposed_metrics import DASHBOARDS, panel_queries

_PROVISIONING = DASHBOARDS / "grafana" / "provisioning"


def _panels(board: Board) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(as_json(board))["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_committed_dashboard_is_up_to_date(board: Board) -> None:
    """`python -m cluster.dashboards` writes what is there already."""
    assert (FOLDER / f"{board.name}.json").read_text(encoding="utf-8") == as_json(board)


def test_no_dashboard_is_left_over() -> None:
    """A file without a module would never change again."""
    assert {file.stem for file in FOLDER.glob("*.json")} == {board.name for board in BOARDS}


def test_there_is_a_dashboard_for_each_part() -> None:
    """With a heading and an address of its own."""
    assert [board.name for board in BOARDS] == [
        "overview",
        "payments",
        "cache",
        "database",
        "resources",
        "errors",
        "tasks",
    ]
    assert len({json.loads(as_json(board))["uid"] for board in BOARDS}) == len(BOARDS)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_no_panel_lies_upon_another(board: Board) -> None:
    """Each cell of the grid has one panel at most, and none is beyond the edge."""
    taken: set[tuple[int, int]] = set()
    for panel in _panels(board):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_panel_says_in_what_it_counts_and_asks_the_chosen_prometheus(board: Board) -> None:
    """A title, a unit, and a query at least, each under a letter of its own."""
    for panel in _panels(board):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        letters = [target["refId"] for target in panel["targets"]]
        assert letters
        assert len(set(letters)) == len(letters)


def test_counters_are_summed_as_rates() -> None:
    """A sum of counters falls when a process starts again, and the rate of that would leap."""
    wrong = [place for place, expression in panel_queries() if "rate(sum" in expression or "increase(sum" in expression]
    assert wrong == []


def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def test_grafana_finds_dashboards_and_prometheus_by_itself() -> None:
    """Both are provisioned; the address of Prometheus comes from the environment."""
    (source,) = _read(_PROVISIONING / "datasources" / "prometheus.yaml")["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    (provider,) = _read(_PROVISIONING / "dashboards" / "easypay.yaml")["providers"]
    assert provider["type"] == "file"
    compose = _read(DASHBOARDS.parent / "compose.yaml")
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
