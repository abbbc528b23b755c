"""Make the dashboards' JSON anew: `python -m cluster.dashboards`. A test says when it is out of date."""

from __future__ import annotations

from pathlib import Path

from cluster.dashboards.board import as_json
from cluster.dashboards.boards import BOARDS

FOLDER = Path(__file__).parent / "grafana" / "boards"


def main() -> None:
    """Write a file for each dashboard, and remove those of dashboards that are no more."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for stale in FOLDER.glob("*.json"):
        stale.unlink()
    for board in BOARDS:
        (FOLDER / f"{board.name}.json").write_text(as_json(board), encoding="utf-8")


if __name__ == "__main__":
    main()
