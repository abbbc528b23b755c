"""The health check of the image tells what the gateway says, and what it costs is no more than to ask."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cluster import health
from tests.support.certificates import certify

_ROOT = Path(__file__).parents[3]


class _Gateway(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        """Answer the question for readiness, and no other."""
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _serving(status: int, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    handler = type("_Answering", (_Gateway,), {"status": status})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.mark.parametrize(("status", "exit_status"), [(200, 0), (503, 1)])
def test_it_is_well_if_it_says_that_it_can_take_payments(
    monkeypatch: pytest.MonkeyPatch, status: int, exit_status: int
) -> None:
    """Whatever becomes of the rest of it."""
    with _serving(status) as port:
        monkeypatch.setenv("HTTP_PORT", str(port))
        monkeypatch.delenv("TLS_CERTIFICATE", raising=False)
        assert health.main() == exit_status


def test_it_asks_by_tls_where_that_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a certificate for a public name, which this address is not."""
    certificate, key = certify(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with _serving(200, context) as port:
        monkeypatch.setenv("HTTP_PORT", str(port))
        monkeypatch.setenv("TLS_CERTIFICATE", str(certificate))
        assert health.main() == 0


def test_nobody_there_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before the gateway has started."""
    monkeypatch.delenv("TLS_CERTIFICATE", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PORT", str(taken.getsockname()[1]))
        assert health.main() == 1


def test_it_imports_nothing_of_ours_and_no_ray() -> None:
    """It runs every ten seconds beside payments."""
    told = subprocess.run(
        [sys.executable, "-c", "import sys; before = set(sys.modules); import cluster.health;"
         "print(*(set(sys.modules) - before))"],
        cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)}, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    outside = {name.partition(".")[0] for name in told} - sys.stdlib_module_names
    assert outside == {"cluster"}
    assert {name for name in told if name.startswith("cluster")} == {"cluster", "cluster.health"}
