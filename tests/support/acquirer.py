"""An acquirer in a process of its own, with its ledger on disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

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
        self._options = {"data_path": str(data_path), "port": port, **options}
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-c", _SCRIPT, json.dumps(self._options)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]

    def start_again(self) -> None:
        """Start one that has ended, at the same address and with the same books."""
        self._options["port"] = self.port
        self._start()

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
