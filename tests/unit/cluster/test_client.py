"""What commands hear of a gateway whose connections break."""

from __future__ import annotations

import socket
import threading

import pytest

from cluster.cli.client import is_ready, request


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"what?\r\n\r\n", b""])
def test_an_answer_that_breaks_off_is_an_oserror(answer: bytes) -> None:
    """As a refused connection is: the process that answered has been killed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def break_off() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        serving = threading.Thread(target=break_off)
        serving.start()
        with pytest.raises(ConnectionError):
            request(url)
        assert not is_ready(url)
        serving.join()
