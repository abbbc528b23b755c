"""A real Prometheus scrapes a running gateway: every name exists, every rule works, every panel shows something."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.gateway import RunningGateway, easypay
from tests.support.exposed_metrics import (
    OF_THE_MONITOR,
    panel_queries,
    recorded_names,
    rules,
    used_names,
)
from tests.support.polling import eventually
from tests.support.prometheus import PrometheusProcess

# The first of them waits for the gateway of the package to start.
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(400)]

_OF_REPLICAS = {
    "easypay_database_server_up",
    "easypay_database_replica_lag_seconds",
    "easypay_database_reads_total",
}
"""What there is only where the database has replicas, which this gateway's has not: see `test_database_replicas`."""
_SHOWN_WITHIN_S = 150.0


def _missing() -> set[str]:
    """Return the names that this gateway does not expose, and what rules make of them."""
    missing = set(_OF_REPLICAS)
    if importlib.util.find_spec("serve_app.monitoring") is None:
        missing |= OF_THE_MONITOR
    made_of_them = {rule["record"] for rule in rules() if "record" in rule and used_names([rule["expr"]]) & missing}
    return missing | made_of_them


def _names(expression: str) -> set[str]:
    return used_names([expression]) | recorded_names([expression])


@pytest.fixture(scope="module")
def prometheus(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusProcess]:
    """Run a Prometheus that scrapes the gateway."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not on PATH")
    ray_folder = gateway.data_dir / "ray" / "t"
    assert ray_folder.is_dir(), "Ray's folder lies elsewhere where the data directory's path is long"
    running = PrometheusProcess(
        program, tmp_path_factory.mktemp("prometheus"), gateway.url, gateway.data_dir, ray_folder
    )
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def test_every_name_is_in_a_scrape(gateway: RunningGateway) -> None:
    """As a family at least; what has not happened yet has no series."""
    key = (gateway.data_dir / "metrics" / "admin_key").read_text()
    headers = {"Authorization": f"Bearer {key}"}
    expressions = [*(rule["expr"] for rule in rules()), *(expression for _, expression in panel_queries())]
    wanted = {name.removesuffix("_total") for name in used_names(expressions) - _missing()}

    def families() -> set[str]:
        text = httpx.get(f"{gateway.url}/metrics", headers=headers, timeout=30).text
        named = {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")}
        return {name.removesuffix("_total") for name in named}

    eventually(families, lambda found: wanted <= found, within_s=30)


def _are_scraped(health: dict[str, set[str]]) -> bool:
    """Whether the gateway is, and Ray's head: which of its parts show metrics of their own is Ray's business."""
    return health.get("easypay") == {"up"} and "up" in health.get("ray", set())


def test_the_gateway_and_ray_are_scraped(prometheus: PrometheusProcess) -> None:
    """By the key in the data directory, and by the list that Ray writes."""

    def health() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for target in prometheus.ask("targets")["activeTargets"]:
            found.setdefault(target["labels"]["job"], set()).add(f"{target['health']} {target['lastError']}".strip())
        return found

    eventually(health, _are_scraped, within_s=60)
    eventually(lambda: prometheus.query('{job="ray",__name__=~"ray_.+"}'), bool, within_s=60)


def test_every_panel_shows_something_after_the_demo(gateway: RunningGateway, prometheus: PrometheusProcess) -> None:
    """Each query of each dashboard has returned a series at some moment while the demo ran a few times."""
    missing = _missing()
    left = {(place, text) for place, text in panel_queries() if not _names(text) & missing}
    assert len(left) > 40

    def empty() -> set[tuple[str, str]]:
        # One that is refused by a machine that stands still is run again.
        easypay("demo", "--data-dir", str(gateway.data_dir), timeout_s=60)
        left.difference_update(
            [(place, text) for place, text in left if prometheus.query(text.replace("$__rate_interval", "30s"))]
        )
        return left

    eventually(empty, lambda queries: not queries, within_s=_SHOWN_WITHIN_S)


def test_rules_are_evaluated_without_a_fault(prometheus: PrometheusProcess) -> None:
    """And of a gateway that is well none rings that somebody would be woken by."""

    def states() -> set[str]:
        groups = prometheus.ask("rules")["groups"]
        return {f"{rule['health']} {rule.get('lastError', '')}".strip() for group in groups for rule in group["rules"]}

    eventually(states, lambda found: found == {"ok"}, within_s=60)
    # But for the budget of errors: of a few requests on a busy machine one that takes half a second burns it.
    ringing = prometheus.query('ALERTS{alertstate="firing",severity="page",alertname!="SloBurnFast"}')
    assert [series["metric"]["alertname"] for series in ringing] == []
