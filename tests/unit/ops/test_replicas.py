"""The servers of the database as operators and Prometheus see them."""

from __future__ import annotations

from actors.pool.replicas.monitor import ServersView
from actors.pool.replicas.reads import READS, ReplicaFigures
from actors.pool.replicas.router import Observation
from actors.pool.servers.timeline import Standing
from actors.runtime.tallies import Series
from serve_app.ops.exposition import exposition
from serve_app.ops.replica_metrics import excluded_families, read_families, server_families
from serve_app.ops.servers import describe_servers

VIEW = ServersView(
    {
        "a:1": Observation(Standing(7, in_recovery=False, timeline=1, lsn=9), None),
        "b:1": Observation(Standing(7, in_recovery=False, timeline=2, lsn=5), None),
        "c:1": Observation(Standing(7, in_recovery=True, timeline=2, lsn=5), 0.25),
        "d:1": Observation(None, None),
    },
    {7: 2},
)


def test_each_server_is_told_by_its_part() -> None:
    """The primary, what it replaced, what follows it and what does not answer."""
    shown = describe_servers(VIEW, None)
    assert [(server["name"], server["state"]) for server in shown] == [
        ("a:1", "replaced"),
        ("b:1", "primary"),
        ("c:1", "replica"),
        ("d:1", "away"),
    ]
    assert [server["lag_seconds"] for server in shown] == [None, None, 0.25, None]
    assert [server["timeline"] for server in shown] == [1, 2, 2, None]


def test_lag_reads_and_what_is_left_out_are_scraped() -> None:
    """By server; reads are summed over processes."""
    accounts = {"shard-0": {Series(READS, ("c:1", "chosen")): 3.0, Series(READS, ("primary", "behind")): 1.0}}
    figures = (ReplicaFigures("c:1", None), ReplicaFigures("d:1", "away"))
    text = exposition([*read_families(accounts), *excluded_families(figures, "p"), *server_families(VIEW)]).decode()
    for line in (
        'easypay_database_reads_total{server="c:1",shard="shard-0",why="chosen"} 3.0',
        'easypay_database_reads_total{server="primary",shard="shard-0",why="behind"} 1.0',
        'easypay_database_replica_lag_seconds{server="c:1"} 0.25',
        'easypay_database_server_up{server="d:1"} 0.0',
        'easypay_database_timeline{server="b:1"} 2.0',
        'easypay_database_replica_excluded{process="p",reason="away",server="d:1"} 1.0',
        'easypay_database_replica_excluded{process="p",reason="",server="c:1"} 0.0',
    ):
        assert line in text.splitlines()
