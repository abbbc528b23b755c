"""Ports that stay the same from run to run."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cluster.ports import NoFreePort, PortBook, is_free


def listening(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Listen on a port."""
    return socket.create_server((host, port))


def test_a_port_is_the_same_in_the_next_run(tmp_path: Path) -> None:
    """URLs survive a restart."""
    first = PortBook(tmp_path / "ports.json").port("postgres")
    assert PortBook(tmp_path / "ports.json").port("postgres") == first


def test_a_port_that_was_taken_meanwhile_is_exchanged(tmp_path: Path) -> None:
    """Somebody else on our port costs us the port, not the start."""
    first = PortBook(tmp_path / "ports.json").port("postgres")
    with listening(first):
        second = PortBook(tmp_path / "ports.json").port("postgres")
    assert second != first
    assert PortBook(tmp_path / "ports.json").port("postgres") == second


def test_names_get_different_ports_and_blocks_do_not_overlap(tmp_path: Path) -> None:
    """A port that is only planned counts as taken, wherever in a block it lies."""
    book = PortBook(tmp_path / "ports.json", range(20_000, 20_040))
    block = book.port("ingress", block=20)
    others = {book.port(f"server {number}") for number in range(5)}
    assert len(others) == 5
    assert others.isdisjoint(range(block, block + 20))


def test_a_full_range_is_an_error_and_not_a_search_without_end(tmp_path: Path) -> None:
    """The message says what was looked for."""
    book = PortBook(tmp_path / "ports.json", range(20_000, 20_011))
    book.port("one")
    with pytest.raises(NoFreePort, match="no 11 free ports in a row from 20000 to 20010"):
        book.port("many", block=11)


def test_a_port_is_not_free_while_anybody_listens_on_it() -> None:
    """One address is enough: some of Ray's servers listen on all of them."""
    for host in ("127.0.0.1", "0.0.0.0"):
        with listening(0, host) as server:
            port = server.getsockname()[1]
            assert not is_free(port)
        assert is_free(port)


def test_a_port_whose_connections_only_linger_is_free() -> None:
    """A quick restart does not lose its port to TIME_WAIT."""
    with listening(0) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert is_free(port)
