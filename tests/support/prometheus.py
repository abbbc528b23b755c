"""A Prometheus of one's own that scrapes a gateway, by the configuration in `cluster/dashboards`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support.exposed_metrics import DASHBOARDS
from tests.support.polling import eventually
from tests.support.ports import free_port

_READY_WITHIN_S = 60.0


class PrometheusProcess:
    """Lays out the configuration as an operator does, but with a scrape each second."""

    def __init__(self, program: str, folder: Path, gateway_url: str, data_dir: Path, ray_folder: Path) -> None:
        self._folder = folder
        shutil.copytree(DASHBOARDS / "prometheus", folder, dirs_exist_ok=True)
        configuration = folder / "prometheus.yaml"
        text = configuration.read_text(encoding="utf-8")
        for slow, quick in (("interval: 10s", "interval: 1s"), ("timeout: 5s", "timeout: 1s")):
            assert slow in text
            text = text.replace(slow, quick)
        # A scrape on a busy machine may take more than the second after which the next one is due.
        configuration.write_text(
            text.replace("scrape_interval: 1s", "scrape_interval: 2s").replace("timeout: 1s", "timeout: 2s")
        )
        (folder / "targets" / "gateway.yaml").write_text(f'- targets: ["{urlsplit(gateway_url).netloc}"]\n')
        (folder / "secrets").symlink_to(data_dir / "metrics")
        (folder / "targets" / "ray").symlink_to(ray_folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={urlsplit(self.url).netloc}",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def wait_until_ready(self) -> None:
        """Wait until it answers; fail with its log where it does not."""
        eventually(self._is_ready, bool, within_s=_READY_WITHIN_S)

    def query(self, expression: str) -> Sequence[dict[str, Any]]:
        """Return the series of an expression now; fail where Prometheus refuses it."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30)
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        found: Sequence[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def ask(self, path: str) -> Any:
        """Return the data of a path of its API."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False
