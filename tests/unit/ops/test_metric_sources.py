"""Where metrics come from, and in which format they leave."""

from __future__ import annotations

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from actors.runtime.errors import Unavailable
from serve_app.admission.admission import Figures
from serve_app.http.operation import Call
from serve_app.ops.admission_metrics import gate_families
from serve_app.ops.exposition import OPENMETRICS, PLAIN, content_type_for, exposition
from serve_app.ops.metric_sources import of_actor, of_this_process
from serve_app.ops.metrics import MetricsEndpoints
from serve_app.ops.task_metrics import task_families

PROMETHEUS_3 = (
    b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    b"q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3.x sends."""


async def _away() -> None:
    raise Unavailable("scheduler", "away", 1.0)


def _depth(state: int | None) -> list[Metric]:
    return [GaugeMetricFamily("easypay_depth", "How deep.", value=-1 if state is None else state)]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_3, OPENMETRICS),
        (b"application/openmetrics-text", OPENMETRICS),
        (b"text/plain, Application/OpenMetrics-Text; version=0.0.1", OPENMETRICS),
        (b"application/openmetrics-text;q=0.0, text/plain", PLAIN),
        (b"text/plain;version=0.0.4", PLAIN),
        (b"*/*", PLAIN),
        (b"application/openmetrics-textual", PLAIN),
        (b"application/openmetrics-text;q=, \xff;;,", PLAIN),
        (b"", PLAIN),
    ],
)
def test_the_accept_header_chooses_the_format(accept: bytes, expected: str) -> None:
    """Whoever names OpenMetrics gets it; everybody else gets what every tool reads."""
    assert content_type_for(((b"host", b"x"), (b"accept", accept))) == expected
    assert content_type_for(()) == PLAIN


async def test_one_that_is_away_hides_none_of_the_others() -> None:
    """It says so by a metric of its own."""

    async def seven() -> int:
        return 7

    endpoints = MetricsEndpoints([of_actor(_away, task_families), of_actor(seven, _depth)])
    lines = (await endpoints.metrics(Call("GET", "/metrics", {}, "r"))).body.decode().splitlines()
    assert "easypay_task_scheduler_up 0.0" in lines
    assert "easypay_depth 7.0" in lines


async def test_a_defect_is_not_taken_for_an_actor_that_is_away() -> None:
    """It is raised, and becomes a 500 that is logged."""

    async def defect() -> int:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await of_actor(defect, _depth)()


async def test_openmetrics_is_what_its_own_parser_takes() -> None:
    """With the end mark, and the same values."""
    figures = Figures(3, {"gateway": 2}, {"gateway": 32}, {"gateway": 0.01})
    endpoints = MetricsEndpoints([of_this_process(lambda: gate_families(figures, "p"))])
    call = Call("GET", "/metrics", {}, "r", headers=((b"accept", PROMETHEUS_3),))
    answer = await endpoints.metrics(call)
    assert answer.headers == ((b"content-type", OPENMETRICS.encode()),)
    text = answer.body.decode()
    assert text.endswith("# EOF\n")
    samples = {sample.name: sample.value for family in parse_openmetrics(text) for sample in family.samples}  # type: ignore[no-untyped-call]
    assert samples["easypay_admission_waiting"] == 3
    assert not exposition(gate_families(figures, "p")).endswith(b"# EOF\n")


def test_a_counter_and_a_gauge_of_one_name_are_told_apart() -> None:
    """In plain text by the ending; in OpenMetrics, which takes that off, the counter has no type."""
    gauge, counter = GaugeMetricFamily("easypay_leases", "Out.", 3), CounterMetricFamily("easypay_leases", "All.", 9)
    for families in ((gauge, counter), (counter, gauge)):
        plain = exposition(families).decode().splitlines()
        assert {"easypay_leases 3.0", "easypay_leases_total 9.0"} <= set(plain)
        told = {
            sample.name: (family.type, sample.value)
            for family in parse_openmetrics(exposition(families, OPENMETRICS).decode())  # type: ignore[no-untyped-call]
            for sample in family.samples
        }
        assert told == {"easypay_leases": ("gauge", 3), "easypay_leases_total": ("unknown", 9)}
