"""The embedded PostgreSQL servers: their names, their URLs, and whether a replica can go on with what it has."""

from __future__ import annotations

from pathlib import Path

from actors.pool.servers.endpoints import Endpoint, endpoints, wants_primary
from cluster.embedded.postgres_config import render
from cluster.embedded.postgres_replication import Position, format_lsn, parse_lsn
from cluster.embedded.postgres_servers import PrimaryFile, ServerSet, server_names, slot_name, source

_CONTROL_DATA = """\
pg_control version number:            1800
Latest checkpoint's REDO location:    0/3000028
Latest checkpoint's TimeLineID:       1
Minimum recovery ending location:     1/A0
Min recovery ending loc's timeline:   2
"""


def _set(folder: Path, *names: str) -> ServerSet:
    ports = {name: 7000 + number for number, name in enumerate(names)}
    return ServerSet(ports, Path("/run/it's here"), PrimaryFile(folder / "primary"))


def test_the_primary_comes_first_whichever_it_is() -> None:
    """The others are those with the lowest numbers."""
    assert server_names(0, "postgres") == ("postgres",)
    assert server_names(2, "postgres") == ("postgres", "postgres-2", "postgres-3")
    assert server_names(2, "postgres-3") == ("postgres-3", "postgres", "postgres-2")
    assert server_names(0, "postgres-2") == ("postgres-2",)


def test_without_a_promotion_the_first_is_the_primary(tmp_path: Path) -> None:
    """And after one the file says which."""
    file = PrimaryFile(tmp_path / "primary")
    assert file.read() == "postgres"
    file.write("postgres-2")
    assert PrimaryFile(tmp_path / "primary").read() == "postgres-2"


def test_the_url_of_one_server_is_plain_and_that_of_several_leads_to_the_primary(tmp_path: Path) -> None:
    """By TCP as by socket."""
    one, two = _set(tmp_path, "postgres"), _set(tmp_path, "postgres", "postgres-2")
    assert one.url("u", "p", by_socket=False) == "postgresql://u:p@127.0.0.1:7000/easypay"
    for by_socket, host in ((False, "127.0.0.1"), (True, "/run/it's here")):
        url = two.url("u", "p", by_socket=by_socket)
        assert endpoints(url) == (Endpoint(host, 7000), Endpoint(host, 7001))
        assert wants_primary(url)
    assert one.replica_urls("u", "p") == ()
    assert [endpoints(url)[0].port for url in two.replica_urls("u", "p")] == [7000, 7001]


def test_a_replica_follows_whoever_is_the_primary(tmp_path: Path) -> None:
    """Of all others; what the server reads is quoted for it."""
    three = _set(tmp_path, "postgres", "postgres-2", "postgres-3")
    text = source(three, "postgres-2", "postgres", "pass word")
    assert "port=7000,7002" in text
    assert r"host='/run/it\'s here','/run/it\'s here'" in text
    assert "password='pass word'" in text
    assert "target_session_attrs=read-write" in text
    assert slot_name("postgres-2") == "replica_postgres_2"
    config = render(port=1, sockets=Path("/s"), budget=5, name="postgres-2", source=text, slot="replica_postgres_2")
    assert r"''/run/it\\''s here''" in config
    assert "primary_conninfo" not in render(port=1, sockets=Path("/s"), budget=5)


def test_what_a_stopped_standby_has_is_the_furthest_that_its_control_data_say() -> None:
    """A position on the newest timeline."""
    assert Position.of_control_data(_CONTROL_DATA) == Position(timeline=2, lsn=(1 << 32) + 0xA0)
    assert format_lsn(parse_lsn("1/A0")) == "1/A0"
