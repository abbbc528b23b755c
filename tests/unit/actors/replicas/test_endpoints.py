"""The hosts of a database URL."""

from __future__ import annotations

import pytest

from actors.pool.servers.endpoints import Endpoint, endpoints, wants_primary


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40x@db/easypay", [("db", 5432)]),
        ("postgresql://u@a:5433,b,[::1]:7/easypay", [("a", 5433), ("b", 5432), ("::1", 7)]),
        ("postgresql://u@/easypay?host=/run/a,/run/b&port=1,2", [("/run/a", 1), ("/run/b", 2)]),
        ("postgresql://u@/easypay?host=%2Frun%2Fa&port=1", [("/run/a", 1)]),
        ("postgresql://u@/easypay?host=a,b&port=6", [("a", 6), ("b", 6)]),
        ("postgresql:///easypay", []),
    ],
)
def test_each_host_of_a_url_is_found(url: str, expected: list[tuple[str, int]]) -> None:
    """In its order, with its port, by every way to write it."""
    assert endpoints(url) == tuple(Endpoint(*each) for each in expected)


def test_ports_that_do_not_match_the_hosts_are_an_error() -> None:
    """It is not guessed which host is meant."""
    with pytest.raises(ValueError, match="as many"):
        endpoints("postgresql://u@/easypay?host=a,b,c&port=1,2")


def test_only_a_url_that_says_so_wants_a_primary() -> None:
    """The default of PostgreSQL is any server."""
    assert wants_primary("postgresql://a,b/x?target_session_attrs=read-write")
    assert wants_primary("postgresql://a,b/x?target_session_attrs=primary")
    assert not wants_primary("postgresql://a,b/x?target_session_attrs=standby")
    assert not wants_primary("postgresql://a,b/x")


def test_names_hold_no_password_and_tell_servers_apart() -> None:
    """They stand in metrics."""
    assert Endpoint("10.0.0.1", 5432).name == "10.0.0.1:5432"
    assert Endpoint("::1", 5432).name == "[::1]:5432"
    assert Endpoint("/run/sql", 5433).name == "socket:5433"
