"""What operators and Prometheus see of the query optimizer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import create_autospec

from actors.optimizer.client import QueryOptimizerClient
from actors.optimizer.plans import PlanAlarm
from actors.optimizer.redundancy import Burden, Fault
from actors.optimizer.report import Measured, Proposal, Report
from actors.optimizer.state import OptimizerState
from actors.optimizer.workload import Warning
from actors.pool.database import Database
from actors.runtime.errors import Unavailable
from serve_app.http.operation import Call
from serve_app.maintenance.service import DatabaseMaintenance, MaintenanceStanding
from serve_app.ops.database import DatabaseEndpoints, DatabaseState
from serve_app.ops.exposition import exposition
from serve_app.ops.optimizer_metrics import optimizer_families
from tests.unit.maintenance.makers import figures
from tests.unit.optimizer.makers import index

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_ID = (1 << 62) + 1
_STANDING = MaintenanceStanding("auto", figures(), (), (), ())
_ROW = {
    "id": 3, "at": _AT, "epoch": 2, "action": "created", "table_name": "public.orders", "index_name": "i", "why": "w",
    "before_ms": 9.0, "after_ms": 1.0, "statement": "CREATE", "undo": "DROP", "undone_at": None, "undone_by": None,
}  # fmt: skip


def _state() -> OptimizerState:
    report = Report(
        "easypay",
        [Measured(_ID, "SELECT 1", 5, 1.5, None, None, "not one statement")],
        [Proposal("public.orders", "i", "CREATE INDEX", "why", (_ID,), 1000)],
        [Burden(index(1, "region", name="twin"), Fault.DUPLICATE, "another is the same")],
        [Warning("n_plus_one", _ID, "runs often")],
        [PlanAlarm(_ID, "a", "b", 1.0, 5.0)],
        (),
        "complete",
    )
    return OptimizerState("auto", True, 4, 1, _AT, 2.5, None, report, {"created": 2}, 1)


async def _shown(optimizer: QueryOptimizerClient) -> dict[str, object]:
    database = create_autospec(Database, instance=True)
    database.fetch.return_value = [_ROW]
    maintenance = create_autospec(DatabaseMaintenance, instance=True)
    maintenance.standing.return_value = _STANDING
    endpoints = DatabaseEndpoints(database, optimizer, maintenance)
    answer: dict[str, object] = json.loads((await endpoints.show(Call("GET", "/ops/api/database", {}, "req_1"))).body)
    DatabaseState.model_validate(answer)
    return answer


async def test_the_page_shows_the_last_round_and_the_journal() -> None:
    """In the form that is documented; ids of 64 bits are text, for a number would be rounded."""
    optimizer = create_autospec(QueryOptimizerClient, instance=True)
    optimizer.state.return_value = _state()
    answer = await _shown(optimizer)
    shown = answer["optimizer"]
    assert isinstance(shown, dict)
    assert shown["statements"][0]["query_id"] == str(_ID)
    assert [each["fault"] for each in shown["burdens"]] == ["duplicate"]
    assert isinstance(answer["optimizer_journal"], list)
    assert answer["optimizer_journal"][0]["index"] == "i"


async def test_an_optimizer_that_is_away_hides_no_journal() -> None:
    """And one that has not looked yet has found nothing."""
    optimizer = create_autospec(QueryOptimizerClient, instance=True)
    optimizer.state.side_effect = Unavailable("query-optimizer", "there is no such actor", 1.0)
    answer = await _shown(optimizer)
    assert answer["optimizer"] is None
    assert answer["optimizer_journal"]
    optimizer.state.side_effect = None
    optimizer.state.return_value = OptimizerState("advise", False)
    shown = (await _shown(optimizer))["optimizer"]
    assert isinstance(shown, dict)
    assert shown["statements"] == []


def test_metrics_tell_what_was_done_and_what_is_left() -> None:
    """Without an answer only that there is none."""
    text = exposition(optimizer_families(_state())).decode()
    for line in (
        "easypay_optimizer_up 1.0",
        'easypay_optimizer_rounds_total{outcome="complete"} 4.0',
        'easypay_optimizer_actions_total{action="created"} 2.0',
        'easypay_optimizer_burdens{fault="duplicate"} 1.0',
        'easypay_optimizer_warnings{kind="n_plus_one"} 1.0',
        "easypay_optimizer_plan_alarms_total 1.0",
    ):
        assert line in text
    away = exposition(optimizer_families(None)).decode()
    assert "easypay_optimizer_up 0.0" in away
    assert "easypay_optimizer_rounds" not in away
