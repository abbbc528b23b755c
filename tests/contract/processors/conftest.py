"""An acquirer process of its own for the contract tests, and requests to send to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.protocol import ProcessorRequest

MakeRequest = Callable[..., ProcessorRequest]

_SCRIPT = """
import json, sys
from pathlib import Path
from serve_app.processors.acquirer import run
options = json.loads(sys.argv[1])
run(data_path=Path(options.pop("data_path")), **options)
"""


class AcquirerProcess:
    """Run `run(...)` in a process; `url` is known once it answers."""

    def __init__(self, data_path: Path, *, port: int = 0, **options: Any) -> None:
        arguments = json.dumps({"data_path": str(data_path), "port": port, **options})
        command = [sys.executable, "-c", _SCRIPT, arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to stop, wait, and return its exit code."""
        self._end(signal.SIGTERM)
        return self._process.returncode

    def _end(self, signal_number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal_number)
        self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ledger(self, *, limit: int = 1_000) -> tuple[list[dict[str, Any]], dict[str, dict[str, int]]]:
        """Read all entries, page by page, and the totals."""
        entries: list[dict[str, Any]] = []
        while True:
            after = entries[-1]["sequence"] if entries else 0
            with urlopen(f"{self.url}/v1/ledger?after={after}&limit={limit}", timeout=10) as response:
                page = json.load(response)
            entries += page["entries"]
            if not page["has_more"]:
                return entries, page["totals"]


StartAcquirer = Callable[..., AcquirerProcess]


@pytest.fixture(scope="module")
def start_acquirer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartAcquirer]:
    """Start acquirers that are killed when the module's tests are over."""
    with ExitStack() as stack:

        def start(data_path: Path | None = None, **options: Any) -> AcquirerProcess:
            data_path = data_path or tmp_path_factory.mktemp("acquirer") / "ledger.db"
            acquirer = AcquirerProcess(data_path, **options)
            stack.callback(acquirer.kill)
            return acquirer

        yield start


@pytest.fixture(scope="module")
def acquirer(start_acquirer: StartAcquirer) -> AcquirerProcess:
    """One acquirer without latency for all tests of a module."""
    return start_acquirer()


@pytest.fixture
def make_request() -> MakeRequest:
    """Make requests with attempt ids that no test used before."""

    def make(
        kind: AttemptKind = AttemptKind.AUTHORIZE,
        *,
        attempt_id: str | None = None,
        amount_minor: int = 1_000,
        currency: str = "USD",
        token: str = "tok_visa",
        capture: bool = False,
        reference: str | None = None,
    ) -> ProcessorRequest:
        attempt_id = attempt_id or f"att_{uuid4().hex}"
        return ProcessorRequest(attempt_id, kind, amount_minor, currency, token, capture, reference)

    return make
