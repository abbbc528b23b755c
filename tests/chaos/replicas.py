"""The replicas of a gateway one by one, past the ingress that chooses among them."""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from cluster.data_dir import DataDir
from tests.chaos.killer import REPLICA, Killer


def replica_urls(data_dir: Path) -> dict[int, str]:
    """Return where each replica that serves listens, by its process id."""
    first, length = json.loads(DataDir(data_dir).ports_file.read_text(encoding="utf-8"))["ingress"]
    block = range(first, first + length)
    found = {pid: _listening(pid, block) for pid in Killer(data_dir, 0).find(REPLICA)}
    return {pid: f"http://127.0.0.1:{port}" for pid, port in found.items() if port is not None}


def _listening(pid: int, ports: range) -> int | None:
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return None
    listening = (each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN)
    return next((port for port in listening if port in ports), None)
