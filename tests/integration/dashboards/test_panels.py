"""A real Prometheus and an exporter that shows everything the gateway can: no panel is empty, and no rule is in vain.

The gateway of `tests/e2e/test_prometheus.py` shows that the names exist; here also those have a value that a healthy
gateway without database replicas never shows.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from serve_app.ops.exposition import exposition
from tests.support.exposed_metrics import OF_THE_MONITOR, exposed_families, panel_queries, rules
from tests.support.polling import eventually
from tests.support.prometheus import PrometheusProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_LABELS: dict[str, dict[str, str]] = {
    "easypay_alerts": {"alert": "RedisAway", "severity": "ticket", "state": "firing"},
    "easypay_http_request_duration_seconds": {"method": "POST", "route": "/v1/payments"},
    "easypay_http_request_size_bytes": {"route": "/v1/payments"},
    "easypay_http_requests_total": {"method": "POST", "route": "/v1/payments", "status": "201"},
    "easypay_http_response_size_bytes": {"route": "/v1/payments"},
    "easypay_level": {"metric": "overall"},
    "easypay_machine_cpu_ratio": {"node": "a"},
    "easypay_machine_disk_ratio": {"node": "a"},
    "easypay_machine_memory_ratio": {"node": "a"},
    "easypay_monitor_processes": {},
    "easypay_monitor_reports_total": {},
    "easypay_payments_amount_minor_total": {"status": "captured", "currency": "EUR"},
    "easypay_payments_total": {"status": "captured", "currency": "EUR"},
    "easypay_stage_duration_seconds": {"stage": "processor"},
    "easypay_utilisation_ratio": {"resource": "pool"},
}
"""What else the monitor's metrics are told apart by; the others by their process."""


def _of_the_monitor(turn: int) -> Iterator[Metric]:
    for name in sorted(OF_THE_MONITOR):
        labels = _LABELS.get(name, {"process": "gateway"})
        values = list(labels.values())
        if name.endswith("_total"):
            counter = CounterMetricFamily(name, "x", labels=list(labels))
            counter.add_metric(values, float(turn))
            yield counter
        elif name.endswith(("_duration_seconds", "_size_bytes")):
            histogram = HistogramMetricFamily(name, "x", labels=list(labels))
            histogram.add_metric(values, [("0.5", turn), ("1.0", 2 * turn), ("+Inf", 2 * turn)], float(turn))
            yield histogram
        else:
            gauge = GaugeMetricFamily(name, "x", labels=list(labels))
            gauge.add_metric(values, 1.0)
            yield gauge


def _growing(family: Metric, turn: int) -> Metric:
    """Return a family whose counts are as if each turn had brought the same."""
    if family.type in ("counter", "histogram"):
        family.samples = [sample._replace(value=(sample.value or 1.0) * turn) for sample in family.samples]
    return family


class _Exporter(BaseHTTPRequestHandler):
    turn = 0

    def do_GET(self) -> None:
        type(self).turn += 1
        families = [*(_growing(each, self.turn) for each in exposed_families()), *_of_the_monitor(self.turn)]
        body = exposition(families)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusProcess]:
    """Run both."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not on PATH")
    folder: Path = tmp_path_factory.mktemp("panels")
    (folder / "data_dir" / "metrics").mkdir(parents=True)
    (folder / "data_dir" / "metrics" / "admin_key").write_text("sk_test_x")
    (folder / "ray").mkdir()
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), _Exporter)
    thread = threading.Thread(target=exporter.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{exporter.server_port}"
    running = PrometheusProcess(program, folder / "prometheus", url, folder / "data_dir", folder / "ray")
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()
        exporter.shutdown()
        thread.join()
        exporter.server_close()


def test_no_panel_is_empty(prometheus: PrometheusProcess) -> None:
    """Each query returns a series once there is something to show."""
    left = set(panel_queries())
    assert len(left) > 60

    def empty() -> set[tuple[str, str]]:
        found = [each for each in left if prometheus.query(each[1].replace("$__rate_interval", "20s"))]
        left.difference_update(found)
        return left

    eventually(empty, lambda queries: not queries, within_s=90)


def test_every_rule_is_evaluated_and_everything_is_recorded(prometheus: PrometheusProcess) -> None:
    """What is recorded has a value, and no rule ends in a fault."""

    def healths() -> set[str]:
        groups = prometheus.ask("rules")["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}

    eventually(healths, lambda found: found == {"ok"}, within_s=60)
    for rule in rules():
        if "record" in rule:
            eventually(partial(prometheus.query, rule["record"]), bool, within_s=60)
