"""What maintenance knows of the gateway's tables and sessions."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from actors.maintenance.horizon import HorizonRules
from actors.maintenance.policy import PartitionSet, Policy

TASK_DAYS_AHEAD = 3


def maintenance_policy(task_retention_days: int) -> Policy:
    """Return the policy: the days of tasks and of their dispatches are the partitions that there are."""
    days = PartitionSet(
        "tasks",
        ("tasks", "task_dispatches"),
        make="SELECT make_task_days($1)",
        drop="SELECT drop_task_day($1)",
        retention_days=task_retention_days,
        ahead_days=TASK_DAYS_AHEAD,
    )
    return Policy(partitions=(days,))


def horizon_rules(seconds_max: float, urls: Iterable[str], gateway: str) -> HorizonRules:
    """Return the rules: sessions of the roles of these URLs are ours, and names that begin with the gateway's."""
    roles = frozenset(unquote(urlsplit(url).username or "") for url in urls)
    return HorizonRules(seconds_max, roles=roles - {""}, names=(f"{gateway}/",))
