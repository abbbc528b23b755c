"""The pool for operators and for Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock, create_autospec

from actors.pool.client import PoolManagerClient
from actors.pool.clusters.membership import ClusterView
from actors.pool.messages import BudgetSnapshot, PoolState
from actors.pool.usage import Figures
from actors.runtime.histogram import Histogram
from serve_app.ops.exposition import exposition
from serve_app.ops.pool import PoolEndpoints, view
from serve_app.ops.pool_metrics import pool_families


def histogram(*values: float) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def state() -> PoolState:
    """Return one with a process that is there and one that is gone."""
    leases = (("gate/1/a", "a", 4, 4), ("gate/2/b", "b", 2, 3))
    here = Figures(4, 3, 1, 2, 10, histogram(0.003), {"read": histogram(0.001, 0.002)}, 5, {"aged": 1}, {"late": 2})
    gone = Figures(uses=7, statements={"read": histogram(0.1)}, connects=2)
    clusters = (ClusterView("gate", 25, 0.31, is_own=True), ClusterView("other", 24, 0.9, is_own=False))
    budget = BudgetSnapshot(50, 44, 0, recovering=False, waiting=1, leases=leases)
    return PoolState(budget, 50, 97, datetime(2025, 1, 5, tzinfo=UTC), "upgrade", 3, 1, 0, {"a": here}, gone, clusters)


def test_metrics_show_each_process_and_the_sum_of_all() -> None:
    """What is there now by process, and what was counted by those that are gone too."""
    lines = exposition(pool_families(state())).decode().splitlines()
    for line in (
        "easypay_database_pool_up 1.0",
        "easypay_database_pool_budget 50.0",
        "easypay_database_pool_server_room 97.0",
        "easypay_database_pool_window_open 1.0",
        "easypay_database_pool_clusters 2.0",
        'easypay_database_pool_in_use{process="a"} 3.0',
        'easypay_database_pool_utilisation{process="a"} 0.75',
        "easypay_database_pool_uses_total 17.0",
        "easypay_database_pool_connects_total 7.0",
        'easypay_database_pool_closes_total{why="aged"} 1.0',
        'easypay_database_pool_refused_total{why="late"} 2.0',
        'easypay_database_pool_wait_seconds_bucket{le="0.005"} 1.0',
        'easypay_database_statement_seconds_count{operation="read"} 3.0',
        'easypay_database_pool_lease_changes_total{what="vanished"} 1.0',
    ):
        assert line in lines, line


def test_a_manager_that_is_away_is_shown_as_that() -> None:
    """And nothing else is said."""
    text = exposition(pool_families(None)).decode()
    assert "easypay_database_pool_up 0.0" in text
    assert "budget" not in text


def test_the_view_says_what_is_not_known() -> None:
    """A process that has not told yet has no figures."""
    shown = view(state())
    assert shown["window"] == {"ends_at": "2025-01-05T00:00:00+00:00", "reason": "upgrade"}
    leases: Any = shown["leases"]
    first, second = leases
    assert (first["in_use"], first["utilisation"]) == (3, 0.75)
    assert (second["size"], second["held"], second["in_use"]) == (2, 3, None)
    assert shown["clusters"] == [
        {"name": "gate", "share": 25, "heard_s_ago": 0.3, "this": True},
        {"name": "other", "share": 24, "heard_s_ago": 0.9, "this": False},
    ]


async def test_a_view_can_be_asked_for() -> None:
    """It fits what the documentation promises."""
    manager = create_autospec(PoolManagerClient, instance=True)
    manager.state = AsyncMock(return_value=state())
    (show, *_rest) = PoolEndpoints(manager).operations()
    model = show.answers[200]
    assert isinstance(model, type)
    model.model_validate(view(state()))
